package systest

import (
	"errors"
	"net"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gearloop/test/peers"
	"gearloop/test/wire"
)

// machine is a network namespace: programs in it have their own interfaces and addresses. It has no name and
// disappears with the test, however that ends.
type machine struct {
	t    *testing.T
	tid  int
	todo chan func() // for the thread that is in it
}

// newMachine returns a machine whose loopback interface is up. The test is skipped if the system does not
// permit that.
func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, todo: make(chan func())}
	made := make(chan error)
	gone := make(chan struct{})
	var live func()
	live = func() {
		runtime.LockOSThread() // never unlocked: the thread ends here, and with it the namespace
		if unix.Gettid() == unix.Getpid() {
			// The first thread never ends, and /proc/self/net shows its network.
			go live()
			<-gone
			runtime.UnlockOSThread()
			return
		}
		defer close(gone)
		err := unix.Unshare(unix.CLONE_NEWNET)
		m.tid = unix.Gettid()
		made <- err
		for f := range m.todo {
			f()
		}
	}
	go live()
	err := <-made
	t.Cleanup(func() {
		close(m.todo)
		<-gone
	})
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) {
		t.Skipf("network namespaces are not to be had here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	m.ip("link set lo up")
	return m
}

// do runs f in the machine.
func (m *machine) do(f func()) {
	done := make(chan struct{})
	m.todo <- func() {
		defer close(done)
		f()
	}
	<-done
}

// ip runs the program of that name in the machine.
func (m *machine) ip(args string) {
	m.t.Helper()
	var out []byte
	var err error
	m.do(func() { out, err = exec.Command("ip", strings.Fields(args)...).CombinedOutput() })
	if err != nil {
		m.t.Fatalf("ip %s: %v %s", args, err, out)
	}
}

// connect connects two machines, which get the addresses 198.18.0.1 and 198.18.0.2, and those of 2001:db8::
// with the same endings.
func connect(a, b *machine) {
	a.t.Helper()
	a.ip("link add cable type veth peer name cable netns " + strconv.Itoa(b.tid))
	for i, m := range []*machine{a, b} {
		n := strconv.Itoa(i + 1)
		m.ip("addr add 198.18.0." + n + "/24 dev cable")
		m.ip("addr add 2001:db8::" + n + "/64 dev cable nodad")
		m.ip("link set cable up")
	}
}

// serve starts a server in the machine and returns it with the addresses that it prints, n of them.
func (m *machine) serve(n int, args ...string) (p *program, addrs []string) {
	m.t.Helper()
	cmd := command(peers.Binary(m.t), nil, append([]string{"serve"}, args...)...)
	m.do(func() { p = launch(m.t, cmd) })
	wire.Await(m.t, "it listens", func() bool {
		select {
		case <-p.done:
			m.t.Fatalf("it has ended\n%s", &p.stderr)
		default:
		}
		return strings.Count(p.stdout.String(), "\n") == n
	})
	for line := range strings.Lines(p.stdout.String()) {
		addrs = append(addrs, strings.TrimPrefix(strings.TrimSpace(line), "listening on "))
	}
	return p, addrs
}

// dial connects from the machine to an address.
func (m *machine) dial(addr string) *wire.Conn {
	m.t.Helper()
	c, err := m.tryDial(addr)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { c.Close() })
	return wire.New(m.t, c)
}

// tryDial is dial for connections that may fail.
func (m *machine) tryDial(addr string) (c net.Conn, err error) {
	m.do(func() { c, err = net.DialTimeout("tcp", addr, wire.Limit) })
	return c, err
}
