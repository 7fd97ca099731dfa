package reactor

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"gearloop/codec"
	"gearloop/test/wire"
)

// nobody is a user without rights on any system.
const nobody = 65534

// dialAs connects to a unix socket as another user. The test must be run as root.
func dialAs(tb testing.TB, user int, path string) *wire.Conn {
	tb.Helper()
	type result struct {
		c   net.Conn
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread, with its user, ends with the goroutine
		if _, _, err := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(user), uintptr(user), uintptr(user)); err != 0 {
			done <- result{err: err}
			return
		}
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
		}
		if err != nil {
			done <- result{err: err}
			return
		}
		file := os.NewFile(uintptr(fd), path)
		c, err := net.FileConn(file)
		file.Close()
		done <- result{c, err}
	}()
	r := <-done
	if r.err != nil {
		tb.Fatal(r.err)
	}
	tb.Cleanup(func() { r.c.Close() })
	return wire.New(tb, r.c)
}

// The user at the other end of a unix socket counts, as the kernel reports it.
func TestRightsByUser(t *testing.T) {
	dir, err := os.MkdirTemp("", "gearloop") // where others may look
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "socket")
	list := newAccessList(t, fmt.Sprintf(`
[me]
user   = %d
submit = mine
[nobody]
user   = %d
submit = theirs
[any user]
user = *
look = *
[network]
network = any
work    = *
`, os.Getuid(), nobody))
	r := newRig(t, list.in, func(s *setup) {
		s.listen = []string{"unix:" + path}
		s.UnixMode = 0o666
	})
	try := func(c *wire.Conn, may, mayNot string) {
		t.Helper()
		c.Submit(codec.SubmitJobBg, may, "", "x")
		c.Send(codec.SubmitJobBg, mayNot, "", "x")
		c.WantError("not_allowed")
		c.Send(codec.CanDo, "f")
		c.WantError("not_allowed")
		c.Table("status")
	}
	try(r.dial(), "mine", "theirs")
	if os.Getuid() == 0 {
		try(dialAs(t, nobody, path), "theirs", "mine")
	}
}
