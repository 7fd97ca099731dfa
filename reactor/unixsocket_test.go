package reactor

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gearloop/admin"
	"gearloop/internal/dialect"
	"gearloop/sched"
)

// listening returns a server that listens on a unix socket and does not run.
func listening(t *testing.T, path string, mode fs.FileMode, owner *Owner) (*Server, error) {
	t.Helper()
	s, err := New(Config{
		Dialect: dialect.Perl, Sched: sched.New(sched.Config{Dialect: dialect.Perl}), Admin: &admin.Admin{}, Log: noLog(), Accept: 1,
		UnixMode: mode, UnixOwner: owner,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Drain)
	_, err = s.Listen("unix:"+path, 0)
	return s, err
}

// A unix socket has the mode that was asked for, whatever the umask is, and its owner.
func TestUnixMode(t *testing.T) {
	for _, mask := range []int{0, 0o022, 0o777} {
		defer syscall.Umask(syscall.Umask(mask))
		for asked, want := range map[fs.FileMode]fs.FileMode{0: 0o660, 0o600: 0o600, 0o666: 0o666, 0o777: 0o777} {
			path := filepath.Join(t.TempDir(), "s")
			if err := os.Chmod(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if _, err := listening(t, path, asked, nil); err != nil {
				t.Fatal(err)
			}
			if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != want {
				t.Errorf("mask %03o: mode %04o is %v, %v", mask, asked, info.Mode(), err)
			}
		}
		if now := syscall.Umask(mask); now != mask {
			t.Errorf("the mask of the process is %03o, was %03o", now, mask)
		}
	}
	owner := &Owner{os.Geteuid(), os.Getegid()}
	if os.Geteuid() == 0 {
		owner = &Owner{1234, 4321}
	}
	path := filepath.Join(t.TempDir(), "s")
	if _, err := listening(t, path, 0, owner); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if s := info.Sys().(*syscall.Stat_t); int(s.Uid) != owner.UID || int(s.Gid) != owner.GID {
		t.Errorf("the socket belongs to %d:%d, want %v", s.Uid, s.Gid, *owner)
	}
}

// At its end a server removes its socket, but nothing that replaced it.
func TestUnixSocketOfSuccessor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	first, err := listening(t, path, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	// Removing the path does not end the server's connections.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second, err := listening(t, path, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	first.Drain()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("the end of the first takes the socket of the second: %v", err)
	}
	c.Close()
	second.Drain()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
	third, err := listening(t, path, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(path), os.WriteFile(path, []byte("precious"), 0o600)); err != nil {
		t.Fatal(err)
	}
	third.Drain()
	if text, err := os.ReadFile(path); string(text) != "precious" {
		t.Errorf("a file in the place of the socket: %q, %v", text, err)
	}
}

// A file that is no socket is named in the error, and not changed.
func TestUnixSocketImpossible(t *testing.T) {
	dir := t.TempDir()
	file, link, fifo, sub := filepath.Join(dir, "file"), filepath.Join(dir, "link"), filepath.Join(dir, "fifo"), filepath.Join(dir, "sub")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Symlink(filepath.Join(dir, "s"), link), syscall.Mkfifo(fifo, 0o600),
		os.Mkdir(sub, 0o700)); err != nil {
		t.Fatal(err)
	}
	for path, kind := range map[string]string{file: "a file", link: "a symbolic link", fifo: "a named pipe", sub: "a directory"} {
		_, err := listening(t, path, 0, nil)
		if want := "there is " + kind + ", not a socket"; err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}
