package reactor

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gearloop/codec"
	"gearloop/test/texts"
	"gearloop/test/wire"
)

// address returns the nth address of another machine.
func address(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}) }

// visitors use slots without a server.
type visitors struct {
	*slots
	t    *testing.T
	in   map[*waiter]bool // have a slot
	wait map[*waiter]bool
}

func newVisitors(t *testing.T, limit, room int) *visitors {
	return &visitors{newSlots(limit, adminSlots, room, new(Counters), noLog()), t, map[*waiter]bool{}, map[*waiter]bool{}}
}

// come makes one more connection arrive, which may wait in the room, and checks the invariants.
func (v *visitors) come(a netip.Addr) (*waiter, entry) {
	ours, theirs := net.Pipe()
	v.t.Cleanup(func() { ours.Close(); theirs.Close() })
	w := &waiter{source: sourceOf(a), socket: ours}
	e := v.enter(w)
	if e != turnedAway {
		v.wait[w] = true
	}
	v.check()
	return w, e
}

// leaves makes one connection leave.
func (v *visitors) leaves(w *waiter) {
	if v.in[w] {
		delete(v.in, w)
		v.give(w.slot)
	} else {
		delete(v.wait, w)
		v.leave(w)
	}
	v.check()
}

// check checks all invariants.
func (v *visitors) check() {
	v.t.Helper()
	for w := range v.wait {
		select {
		case <-w.granted:
			delete(v.wait, w)
			v.in[w] = true
		default:
		}
	}
	held, room, remote, forAdmins := map[netip.Addr]int{}, map[netip.Addr]int{}, 0, 0
	for w := range v.in {
		if w.slot.forAdmin {
			forAdmins++
		} else if isRemote(w.source) {
			held[w.source]++
		}
	}
	for w := range v.wait {
		if w.inRoom {
			room[w.source]++
			if isRemote(w.source) {
				remote++
			}
		}
		if v.allows(w.source) || w.admin && v.admins < adminSlots {
			v.t.Fatalf("%v waits without need", w.source)
		}
	}
	if v.taken != len(v.in)-forAdmins || v.admins != forAdmins || len(v.waiting) != len(v.wait) || !maps.Equal(v.held, held) ||
		!maps.Equal(v.slots.inRoom, room) || v.remote != remote {
		v.t.Fatalf("taken %d, kept %d, waiting %d, %v, room %v %d; want %d, %d, %d, %v, %v %d", v.taken, v.admins, len(v.waiting),
			v.held, v.slots.inRoom, v.remote, len(v.in)-forAdmins, forAdmins, len(v.wait), held, room, remote)
	}
	if v.taken > v.limit || v.admins > adminSlots {
		v.t.Fatalf("%d of %d slots, %d of %d kept ones", v.taken, v.limit, v.admins, adminSlots)
	}
}

// An address of another machine may take all slots except the last eighth; others get those. Local addresses
// have no share.
func TestSlotShares(t *testing.T) {
	const limit = 64
	v := newVisitors(t, limit, 1000)
	var first []*waiter
	for i := range limit {
		w, e := v.come(address(1))
		first = append(first, w)
		if want := i < limit-limit/scarceSlots; want != (e == enters) {
			t.Fatalf("connection %d of an address: %v", i+1, e)
		}
	}
	for range limit / scarceSlots / 2 {
		if _, e := v.come(address(2)); e != enters {
			t.Fatalf("another address: %v", e)
		}
		if _, e := v.come(netip.MustParseAddr("127.0.0.1")); e != enters {
			t.Fatalf("loopback: %v", e)
		}
	}
	if _, e := v.come(address(2)); e != waitsRoom {
		t.Fatalf("beyond the limit: %v", e)
	}
	// A free slot goes to the address with fewer, although it came last.
	waits := len(v.wait)
	v.leaves(first[0])
	if len(v.wait) != waits-1 || v.held[address(2)] != limit/scarceSlots/2+1 {
		t.Errorf("%v have slots", v.held)
	}
	// Once enough slots are free the others follow, in order.
	for _, w := range first[1 : limit/2] {
		v.leaves(w)
	}
	if len(v.wait) != 0 {
		t.Errorf("%d still wait", len(v.wait))
	}

	local := newVisitors(t, limit, 1000)
	for range limit {
		if _, e := local.come(netip.MustParseAddr("::1")); e != enters {
			t.Fatalf("loopback: %v", e)
		}
	}
	// A site with IPv6 counts as one source, whichever of its addresses it uses.
	site := newVisitors(t, limit, 1000)
	for i := range limit {
		site.come(netip.AddrFrom16([16]byte{0x20, 1, 15: byte(i)}))
	}
	if len(site.in) != limit-limit/scarceSlots {
		t.Errorf("a site has %d of %d slots", len(site.in), limit)
	}
}

// The room has space for each. An address that fills its share of it is turned away. Local connections then
// wait with their acceptors, and so does everybody once the half for other machines is full.
func TestRoomShares(t *testing.T) {
	const room = 40
	v := newVisitors(t, 1, room)
	v.come(netip.Addr{})
	for n := 1; n <= 2; n++ {
		for range room / roomShare {
			if _, e := v.come(address(n)); e != waitsRoom {
				t.Fatalf("address %d: %v", n, e)
			}
		}
		if _, e := v.come(address(n)); e != turnedAway {
			t.Fatalf("address %d, once more: %v", n, e)
		}
	}
	if n := v.counters.TurnedAway.Load(); n != 2 {
		t.Errorf("%d were turned away", n)
	}
	if _, e := v.come(address(3)); e != waitsHere {
		t.Errorf("one more address: %v", e)
	}
	for _, a := range []netip.Addr{{}, netip.MustParseAddr("127.0.0.9")} {
		for range room / roomShare {
			if _, e := v.come(a); e != waitsRoom {
				t.Fatalf("%v: %v", a, e)
			}
		}
		if _, e := v.come(a); e != waitsHere {
			t.Fatalf("%v, once more: %v", a, e)
		}
	}
	if inside := (&waiter{}); v.enter(inside) != waitsHere {
		t.Error("a connection from inside does not wait")
	} else {
		v.leave(inside)
	}
}

// Connections come and go in any order. The bounds hold, nobody waits who could have a slot, and all are
// counted.
func TestSlotsInAnyOrder(t *testing.T) {
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 7))
		v := newVisitors(t, 1+rng.IntN(40), rng.IntN(40))
		sources := []netip.Addr{{}, netip.IPv6Loopback(), address(1), address(2), address(3)}
		var all []*waiter
		for range 1000 {
			switch {
			case len(all) == 0 || rng.IntN(2) == 0 && len(all) < 100:
				if w, e := v.come(sources[rng.IntN(len(sources))]); e != turnedAway {
					all = append(all, w)
				}
			case rng.IntN(5) == 0:
				v.isAdmin(all[rng.IntN(len(all))])
				v.check()
			default:
				i := rng.IntN(len(all))
				v.leaves(all[i])
				all = slices.Delete(all, i, i+1)
			}
		}
		for _, w := range all {
			v.leaves(w)
		}
		if len(v.in)+len(v.wait) != 0 {
			t.Errorf("seed %d: left: %d in, %d waiting", seed, len(v.in), len(v.wait))
		}
	}
}

// The log says once that connections wait, and once that none has waited for a while.
func TestShortageIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log texts.Buffer
		s := newSlots(2, 0, 0, new(Counters), textLog(&log))
		enter := func() *waiter {
			w := new(waiter)
			s.enter(w)
			return w
		}
		in := []*waiter{enter(), enter()}
		for range 3 {
			s.leave(enter())
			time.Sleep(shortageTime / 2)
		}
		want := func(lines ...string) {
			t.Helper()
			synctest.Wait()
			got := strings.Split(strings.TrimSuffix(log.String(), "\n"), "\n")
			if len(got) != len(lines) {
				t.Fatalf("logs %q", got)
			}
			for i, line := range lines {
				if !strings.Contains(got[i], line) {
					t.Errorf("logs %q, want %q", got[i], line)
				}
			}
		}
		const full, enough = "level=WARN msg=\"there are as many connections as there may be", "level=INFO msg=\"new connections don't wait any more\" waited=3 connections=2"
		want(full)
		time.Sleep(shortageTime)
		want(full, enough)
		waits := enter()
		want(full, enough, full)
		time.Sleep(10 * shortageTime) // it waits all the time
		want(full, enough, full)
		s.give(in[0].slot)
		<-waits.granted
		s.give(in[1].slot)
		time.Sleep(2 * shortageTime)
		want(full, enough, full, "waited=1 connections=1")
		if n := s.counters.Waited.Load(); n != 4 {
			t.Errorf("%d counted", n)
		}
	})
}

// When all slots are taken text commands from this machine are still answered, because some slots are kept
// for them. Packets wait, and so do further administrators, until one has left.
func TestSlotsForAdministrators(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	const most = 3
	r := newRig(t, func(s *setup) {
		s.MaxConnections = most
		s.listen = []string{"127.0.0.1:0", "unix:" + path}
	})
	var peers []*wire.Conn
	for range most {
		c := r.dial()
		c.Sync()
		peers = append(peers, c)
	}
	answered := make(chan *wire.Conn, 1)
	waits := r.dial()
	waits.Send(codec.EchoReq, "hello")
	go func() {
		waits.Want(codec.EchoRes, "hello")
		answered <- waits
	}()
	silent := r.dial() // sends nothing until later
	wire.Await(t, "both wait", func() bool { _, n := r.server.slots.count(); return n == 2 })
	var admins []*wire.Conn
	for i := range adminSlots {
		c := wire.Dial(t, r.addrs[i%2])
		c.Line("version")
		if got := c.ReadLine(); got != "v1.2.3" {
			t.Fatalf("answer %q", got)
		}
		admins = append(admins, c)
	}
	if text := strings.Join(admins[0].Table("gladiator all"), "\n"); !strings.Contains(text, "2 connection waiting") ||
		!strings.Contains(text, fmt.Sprint(2+adminSlots, " fault: no slot for connection")) {
		t.Errorf("gladiator says\n%s", text)
	}
	late := make(chan string, 1)
	silent.Line("version")
	go func() { late <- silent.ReadLine() }()
	for range 20 {
		for _, c := range append(peers, admins...) {
			c.Sync()
		}
	}
	if len(answered)+len(late) != 0 {
		t.Fatal("more are served than there may be")
	}
	admins[0].Close()
	if got := <-late; got != "v1.2.3" {
		t.Errorf("answer %q", got)
	}
	if len(answered) != 0 {
		t.Error("a client has the place of an administrator")
	}
	peers[0].Close()
	<-answered
	gone := r.dial()
	gone.Close()
	wire.Await(t, "one that has gone waits no longer", func() bool { _, n := r.server.slots.count(); return n == 0 })
	for _, c := range append(append(peers[1:], admins[1:]...), silent, waits) {
		c.Close()
	}
	r.quiet()
	wire.Await(t, "no slot is taken", func() bool { return r.slotsTaken() == 0 })
}

// A server that ends closes waiting connections.
func TestWaitingEnds(t *testing.T) {
	r := newRig(t, func(s *setup) { s.MaxConnections, s.Accept = 1, 2 })
	r.dial().Sync()
	var waiting []*wire.Conn
	for i := range 20 {
		c := r.dial()
		if i%2 == 0 {
			c.Send(codec.EchoReq, "hello")
		}
		waiting = append(waiting, c)
	}
	wire.Await(t, "they wait", func() bool { _, n := r.server.slots.count(); return n > 2 })
	r.server.Shutdown()
	r.wantEnd()
	for _, c := range waiting {
		c.WantEnd()
	}
}
