package reactor

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"gearloop/codec"
	"gearloop/test/wire"
)

// acceptors returns how many goroutines accept connections.
func acceptors() int {
	stacks := make([]byte, 4<<20)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "reactor.(*Server).acceptOne(")
}

// populations returns how many connections each loop has.
func (r *rig) populations() (all []int) {
	r.server.onEachLoop(func(l *loop) bool {
		if int(l.population.Load()) != len(l.conns) {
			r.tb.Errorf("a loop has %d connections and counts %d", len(l.conns), l.population.Load())
		}
		all = append(all, len(l.conns))
		return false
	})
	return all
}

// Loops accept connections without goroutines, share them equally, and know their peers. They are set up as package
// net does it.
func TestLoopsAccept(t *testing.T) {
	r := newRig(t, loops(3), func(s *setup) {
		s.listen = []string{"127.0.0.1:0", "[::1]:0", "*:0"}
		if !hasIPv6() {
			s.listen = s.listen[:1]
		}
	})
	peers := map[string]bool{}
	var conns []*wire.Conn
	for i := range 30 {
		c := wire.Dial(t, r.addrs[i%len(r.addrs)])
		c.Sync()
		peers[c.LocalAddr().String()] = true
		conns = append(conns, c)
	}
	for i, n := range r.populations() {
		if n != 10 {
			t.Errorf("loop %d has %d connections", i, n)
		}
	}
	r.server.onEachLoop(func(l *loop) bool {
		for c := range l.conns {
			noDelay, err := unix.GetsockoptInt(c.FD, unix.IPPROTO_TCP, unix.TCP_NODELAY)
			flags, err2 := unix.FcntlInt(uintptr(c.FD), unix.F_GETFL, 0)
			onExec, err3 := unix.FcntlInt(uintptr(c.FD), unix.F_GETFD, 0)
			if err != nil || err2 != nil || err3 != nil || noDelay == 0 || flags&unix.O_NONBLOCK == 0 || onExec != unix.FD_CLOEXEC {
				t.Errorf("a socket has TCP_NODELAY %d, flags %#x and %#x: %v, %v, %v", noDelay, flags, onExec, err, err2, err3)
			}
			if !peers[c.Addr.String()] {
				t.Errorf("nobody has the address %v", c.Addr)
			}
			delete(peers, c.Addr.String())
		}
		return false
	})
	if n := acceptors(); n > 0 {
		t.Errorf("%d goroutines accept", n)
	}
	for _, c := range conns {
		c.Close()
	}
	wire.Await(t, "all are gone", func() bool {
		left := 0
		for _, n := range r.populations() {
			left += n
		}
		return left == 0
	})
	for _, d := range r.server.Doors() {
		if d.Accepted != int64(30/len(r.addrs)) {
			t.Errorf("%+v", d)
		}
	}
}

// hasIPv6 reports whether the machine has an IPv6 address of its own.
func hasIPv6() bool {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return unix.Bind(fd, &unix.SockaddrInet6{Addr: [16]byte{15: 1}}) == nil
}

// When slots run out, acceptors accept, so that connections wait for slots as ever. When there are slots again, the
// loops do.
func TestAcceptorsRelieveLoops(t *testing.T) {
	r := newRig(t, loops(2), func(s *setup) { s.MaxConnections, s.Log = 2, noLog() })
	for range 3 {
		wire.Await(t, "the loops accept", func() bool { return acceptors() == 0 })
		first, second := r.dial(), r.dial()
		first.Sync()
		second.Sync()
		waiting := r.dial()
		wire.Await(t, "the third one waits", func() bool { _, waiting := r.server.slots.count(); return waiting == 1 })
		if acceptors() == 0 {
			t.Error("nobody accepts connections of administrators")
		}
		admin := r.dial()
		admin.Line("version")
		if got := admin.ReadLine(); got != "v1.2.3" {
			t.Errorf("%q", got)
		}
		first.Close()
		waiting.Sync()
		second.Close()
		waiting.Close()
		admin.Close()
	}
}

// A listener that a loop cannot watch is not left alone: acceptors accept, and stay.
func TestAcceptorsHaveWhatLoopsCannotWatch(t *testing.T) {
	r := newRig(t, loops(2), func(s *setup) { s.Log = noLog() })
	wire.Await(t, "the loops accept", func() bool { return r.server.listeners[0].(*loopListener).descriptor() >= 0 })
	d := r.server.listeners[0].(*loopListener)
	blind := &loop{server: r.server, poller: -1}
	blind.doors = append(blind.doors, d)
	blind.openDoor(d)
	for range 5 {
		c := r.dial()
		c.Sync()
		c.Close()
	}
	wire.Await(t, "acceptors accept", func() bool { return acceptors() > 0 })
	if d.isWatched() {
		t.Error("loops would try again")
	}
}

// Connections come and go while slots run out again and again, until the server ends.
func TestAcceptanceAlternates(t *testing.T) {
	r := newRig(t, loops(3), func(s *setup) { s.MaxConnections, s.Log = 8, noLog() })
	var peers sync.WaitGroup
	for i := range 12 {
		peers.Go(func() {
			for range 40 {
				c := r.dial()
				c.Sync()
				if i%2 == 0 {
					c.Send(codec.CanDo, "f")
				}
				c.Close()
			}
		})
	}
	peers.Wait()
	r.quiet()
	wire.Await(t, "no slot is taken", func() bool { return r.slotsTaken() == 0 })
	r.populations()
	for range 20 {
		r.dial()
	}
	r.server.Shutdown()
	r.wantEnd()
}

// The functions of gnet that are called under another name have the parameters that their declarations here say.
func TestFunctionsOfGnet(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", "github.com/panjf2000/gnet/v2").Output()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, name := range []string{"connection_unix.go", "eventloop_unix.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(out)), name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && (f.Name.Name == "newStreamConn" || f.Name.Name == "register0") {
				receiver := ""
				if f.Recv != nil {
					receiver = types.ExprString(f.Recv.List[0].Type)
				}
				found[f.Name.Name] = receiver + " " + types.ExprString(f.Type)
			}
		}
	}
	for name, want := range map[string]string{
		"newStreamConn": " func(proto string, fd int, el *eventloop, sa unix.Sockaddr, localAddr, remoteAddr net.Addr) (c *conn)",
		"register0":     "*eventloop func(c *conn) error",
	} {
		if found[name] != want {
			t.Errorf("%s is %q, not %q: see register_linux.go", name, found[name], want)
		}
	}
}

// A listener is closed, and a guest's connection gets the number of its descriptor, between the event and the moment
// at which the host looks at it: the connection stays watched.
func TestEventOfClosedListener(t *testing.T) {
	r, peers, host, guest := newHouse(t)
	its := connectionOf(t, guest)
	on(host, func() {
		if !guest.brings {
			t.Error("it has not brought its connections")
		}
		host.serveEvent(&unix.EpollEvent{Fd: int32(its.FD), Events: unix.EPOLLIN})
	})
	r.peerOf(its, peers[:]).Sync()
}
