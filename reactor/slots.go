package reactor

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"gearloop/internal/proxyproto"
)

// slots are the connections that may exist. Who finds none waits, unread: first come, first served, but for two rules.
// An address of another machine that has more than its share leaves the last ones to others; and a connection
// from this machine that speaks text may have one of a few that are kept for administrators.
type slots struct {
	limit     int // connections that may exist, without those for administrators
	forAdmins int // those for administrators
	room      int // connections that may wait, beside those that acceptors hold
	counters  *Counters
	log       *slog.Logger

	mu      sync.Mutex
	taken   int
	admins  int
	held    map[netip.Addr]int // by source, of other machines
	waiting []*waiter          // in the order in which they came
	inRoom  map[netip.Addr]int // by source
	remote  int                // in the room, from other machines
	ended   bool

	short    bool // it was logged that there are too few
	waited   int  // since then
	enough   *time.Timer
	patience time.Duration // shortageTime, but for tests
}

// slot is the right to be a connection.
type slot struct {
	source   netip.Addr
	forAdmin bool // one of those for administrators
}

// waiter is a connection without a slot.
type waiter struct {
	source  netip.Addr
	socket  net.Conn // nil: one from inside
	granted chan struct{}
	slot    slot // once that is closed
	inRoom  bool
	admin   bool // a slot for administrators will do
}

// entry is what becomes of a connection that comes.
type entry uint8

const (
	enters    entry = iota // has a slot
	waitsHere              // waits, and the acceptor with it
	waitsRoom              // waits in the room: the acceptor may go on
	turnedAway
)

func newSlots(limit, forAdmins, room int, counters *Counters, log *slog.Logger) *slots {
	return &slots{
		limit: limit, forAdmins: forAdmins, room: room, counters: counters, log: log, patience: shortageTime,
		held: map[netip.Addr]int{}, inRoom: map[netip.Addr]int{},
	}
}

// sourceOf returns what has a share of the slots of its own: a site, all of loopback, and unix sockets and what is
// inside this process, together.
func sourceOf(a netip.Addr) netip.Addr {
	if a.IsLoopback() {
		return netip.IPv6Loopback()
	}
	return siteOf(a)
}

// siteOf returns an address, or of IPv6 the network of 64 bits, all of whose addresses one site has.
func siteOf(a netip.Addr) netip.Addr {
	if !a.Is6() || a.IsLoopback() {
		return a
	}
	network, _ := a.WithZone("").Prefix(64)
	return network.Addr()
}

// isRemote reports whether a source is another machine.
func isRemote(source netip.Addr) bool { return source.IsValid() && !source.IsLoopback() }

// allows reports whether a source may have one more slot.
func (s *slots) allows(source netip.Addr) bool {
	if s.taken >= s.limit {
		return false
	}
	scarce := s.limit-s.taken <= s.limit/scarceSlots
	return !scarce || !isRemote(source) || s.held[source] < s.limit/slotShare
}

// take gives a slot to a source.
func (s *slots) take(source netip.Addr) slot {
	s.taken++
	if isRemote(source) {
		s.held[source]++
	}
	return slot{source: source}
}

// enter gives a connection a slot, or has it wait for one: see entry. In any case but the last two the caller goes on
// when w.granted is closed, or gives up with leave.
func (s *slots) enter(w *waiter) entry {
	var say func()
	defer func() {
		if say != nil {
			say() // without the lock, which loops take
		}
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	w.granted = make(chan struct{})
	if s.allows(w.source) {
		w.slot = s.take(w.source)
		close(w.granted)
		return enters
	}
	e := waitsHere
	if w.socket != nil {
		switch {
		case s.hasRoom(w.source):
			e = waitsRoom
			w.inRoom = true
			s.inRoom[w.source]++
			if isRemote(w.source) {
				s.remote++
			}
		case isRemote(w.source) && s.inRoom[w.source] >= s.room/roomShare:
			e = turnedAway
		}
	}
	say = s.runShort(w.source)
	if e == turnedAway {
		if n := s.counters.TurnedAway.Add(1); n&(n-1) == 0 { // 1st, 2nd, 4th, 8th ...
			waiting := s.inRoom[w.source]
			say = func() {
				s.log.Warn("closing a connection: too many of its address wait", "address", w.source, "waiting", waiting, "times", n)
			}
		}
		return e
	}
	s.waiting = append(s.waiting, w)
	if s.ended && w.socket != nil {
		w.socket.SetReadDeadline(time.Unix(1, 0))
	}
	return e
}

// hasRoom reports whether one more of a source may wait in the room. Half of it is for other machines, and a quarter
// for each source, so that none keeps acceptors from seeing who else comes.
func (s *slots) hasRoom(source netip.Addr) bool {
	return s.inRoom[source] < s.room/roomShare && (!isRemote(source) || s.remote < s.room/2)
}

// isAdmin has a waiting connection take one of the slots for administrators, if it gets one before another.
func (s *slots) isAdmin(w *waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.admin = true
	s.giveKept()
}

// giveKept gives slots for administrators to those who wait for one.
func (s *slots) giveKept() {
	for i := 0; i < len(s.waiting) && s.admins < s.forAdmins; {
		w := s.waiting[i]
		if !w.admin {
			i++
			continue
		}
		s.admins++
		s.remove(i)
		w.grant(slot{source: w.source, forAdmin: true})
	}
}

// grant ends the waiting of a connection.
func (w *waiter) grant(have slot) {
	w.slot = have
	if w.socket != nil {
		w.socket.SetReadDeadline(time.Unix(1, 0)) // its peek ends
	}
	close(w.granted)
}

// leave ends the waiting of a connection that goes on no more, and gives back what it may have been given meanwhile.
func (s *slots) leave(w *waiter) {
	s.mu.Lock()
	i := slices.Index(s.waiting, w)
	if i >= 0 {
		s.remove(i)
	}
	s.mu.Unlock()
	if i < 0 {
		s.give(w.slot)
	}
}

// give gives a slot back.
func (s *slots) give(old slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old.forAdmin {
		s.admins--
		s.giveKept()
		return
	}
	s.taken--
	if isRemote(old.source) {
		if s.held[old.source]--; s.held[old.source] == 0 {
			delete(s.held, old.source)
		}
	}
	for i := 0; i < len(s.waiting) && s.taken < s.limit; {
		w := s.waiting[i]
		if !s.allows(w.source) {
			i++
			continue
		}
		s.remove(i)
		w.grant(s.take(w.source))
	}
}

// remove takes out a waiting connection.
func (s *slots) remove(i int) {
	w := s.waiting[i]
	s.waiting = slices.Delete(s.waiting, i, i+1)
	if w.inRoom {
		if s.inRoom[w.source]--; s.inRoom[w.source] == 0 {
			delete(s.inRoom, w.source)
		}
		if isRemote(w.source) {
			s.remote--
		}
	}
	if len(s.waiting) == 0 && s.short {
		s.enough = time.AfterFunc(s.patience, s.hasEnough)
	}
}

// runShort notes that a connection has to wait. The first time it returns what is to be logged.
func (s *slots) runShort(source netip.Addr) (say func()) {
	s.counters.Waited.Add(1)
	s.waited++
	if s.enough != nil {
		s.enough.Stop()
		s.enough = nil
	}
	if s.short {
		return nil
	}
	s.short, s.waited = true, 1
	taken, held := s.taken, s.held[source]
	if taken >= s.limit {
		return func() {
			s.log.Warn("there are as many connections as there may be: new ones wait (see --max-connections, and ulimit -n)",
				"connections", taken)
		}
	}
	return func() {
		s.log.Warn("few connections are left, and an address has its share: its new ones wait (see --max-connections, and ulimit -n)",
			"address", source, "connections", held, "all", taken)
	}
}

// hasEnough logs that nobody has waited for a while.
func (s *slots) hasEnough() {
	s.mu.Lock()
	over := len(s.waiting) == 0 && s.short
	waited, taken := s.waited, s.taken
	if over {
		s.short = false
	}
	s.mu.Unlock()
	if over {
		s.log.Info("new connections don't wait any more", "waited", waited, "connections", taken)
	}
}

// end has all who wait give up, and those who come.
func (s *slots) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended, s.short = true, false // nothing to be told any more
	for _, w := range s.waiting {
		if w.socket != nil {
			w.socket.SetReadDeadline(time.Unix(1, 0))
		}
	}
}

// count returns how many slots are taken, and how many connections wait.
func (s *slots) count() (taken, waiting int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken + s.admins, len(s.waiting)
}

// awaitSlot waits until a connection has a slot. false: the peer has gone, or the server ends.
func (s *Server) awaitSlot(w *waiter) bool {
	b, err := peek(w.socket)
	if err == nil && !isRemote(w.source) && isText(b) {
		s.slots.isAdmin(w)
	}
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		s.slots.leave(w)
		return false
	}
	select {
	case <-w.granted:
		w.socket.SetReadDeadline(time.Time{})
		return true
	case <-s.ending:
		s.slots.leave(w)
		return false
	}
}

// isText reports whether a byte may begin a text command.
func isText(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

// peek waits for the first byte that a peer sends, and leaves it where it is.
func peek(socket net.Conn) (byte, error) {
	var b [1]byte
	_, err := proxyproto.Peek(socket, b[:])
	return b[0], err
}
