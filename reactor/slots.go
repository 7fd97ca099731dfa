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
	"gearloop/internal/slim"
)

// slots limits the connections that may exist. A connection without a slot waits, unread, first come first
// served, with two exceptions. A remote address that has more than its share leaves the last slots to others.
// A local connection that begins with a text command may use one of a few slots for administrators.
type slots struct {
	limit     int // limit of connections, without those for administrators
	forAdmins int // additional slots for administrators
	room      int // connections that may wait, besides those that acceptors hold
	counters  *Counters
	log       *slog.Logger

	mu      sync.Mutex
	taken   int
	admins  int
	held    map[netip.Addr]int // by source, remote ones only
	most    slim.Peak          // of held
	waiting []*waiter          // in order of arrival
	inRoom  map[netip.Addr]int // by source
	remote  int                // waiting in the room, from other machines
	ended   bool

	short    bool // the shortage was logged
	waited   int  // connections that waited since then
	enough   *time.Timer
	patience time.Duration // shortageTime, except in tests
}

// slot is the right of one connection to exist.
type slot struct {
	source   netip.Addr
	forAdmin bool // one of the slots for administrators
}

// waiter is a connection without a slot.
type waiter struct {
	source  netip.Addr
	socket  net.Conn // nil: a connection from inside the process
	granted chan struct{}
	slot    slot // its slot, once granted is closed
	inRoom  bool
	admin   bool // it may get a slot for administrators
}

// granted is the granted of connections that need not wait.
var granted = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// entry is the outcome of enter.
type entry uint8

const (
	enters    entry = iota // it has a slot
	waitsHere              // it waits, and so does the acceptor
	waitsRoom              // it waits in the room: the acceptor may go on
	turnedAway
)

func newSlots(limit, forAdmins, room int, counters *Counters, log *slog.Logger) *slots {
	return &slots{
		limit: limit, forAdmins: forAdmins, room: room, counters: counters, log: log, patience: shortageTime,
		held: map[netip.Addr]int{}, inRoom: map[netip.Addr]int{},
	}
}

// sourceOf returns what an address shares slots with: its site, all of loopback, or everything without an
// address (unix sockets and connections from inside).
func sourceOf(a netip.Addr) netip.Addr {
	if a.IsLoopback() {
		return netip.IPv6Loopback()
	}
	return siteOf(a)
}

// siteOf returns the address, or its /64 network for IPv6, because one site has all of those addresses.
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

// take takes a slot for a source.
func (s *slots) take(source netip.Addr) slot {
	s.taken++
	if isRemote(source) {
		s.held[source]++
	}
	return slot{source: source}
}

// takeFree takes a slot for a connection whose source is not known yet, if slots are not scarce and nobody waits
// for one.
func (s *slots) takeFree() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) > 0 || s.limit-s.taken <= s.limit/scarceSlots {
		return false
	}
	s.taken++
	return true
}

// assign makes a slot from takeFree that of a source.
func (s *slots) assign(source netip.Addr) slot {
	if isRemote(source) {
		s.mu.Lock()
		s.held[source]++
		s.mu.Unlock()
	}
	return slot{source: source}
}

// ample reports whether slots are far from scarce and nobody waits for one.
func (s *slots) ample() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting) == 0 && s.limit-s.taken > s.limit/scarceSlots+s.limit/(2*scarceSlots)
}

// enter takes a slot for a connection, or makes it wait: see entry. If it waits the caller continues when
// w.granted is closed, or gives up with leave.
func (s *slots) enter(w *waiter) entry {
	var say func()
	defer func() {
		if say != nil {
			say() // without the lock, which loops need
		}
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.allows(w.source) {
		w.slot, w.granted = s.take(w.source), granted
		return enters
	}
	w.granted = make(chan struct{})
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

// hasRoom reports whether one more connection of a source may wait in the room. Half of the room is for
// remote ones and a quarter for each source, so that none keeps acceptors from seeing who else comes.
func (s *slots) hasRoom(source netip.Addr) bool {
	return s.inRoom[source] < s.room/roomShare && (!isRemote(source) || s.remote < s.room/2)
}

// isAdmin marks a waiting connection as an administrator's, which may get a slot for administrators.
func (s *slots) isAdmin(w *waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.admin = true
	s.giveKept()
}

// giveKept grants free slots for administrators to those who wait for one.
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

// grant ends the wait of a connection.
func (w *waiter) grant(have slot) {
	w.slot = have
	if w.socket != nil {
		w.socket.SetReadDeadline(time.Unix(1, 0)) // ends its peek
	}
	close(w.granted)
}

// leave gives up waiting, and returns a slot that may have been granted meanwhile.
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

// give returns a slot.
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
			s.held = slim.Map(s.held, &s.most)
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

// remove removes a waiting connection.
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

// runShort records that a connection has to wait. The first time it returns a function that logs it.
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

// end makes all waiting and later connections give up.
func (s *slots) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended, s.short = true, false // no further log lines
	for _, w := range s.waiting {
		if w.socket != nil {
			w.socket.SetReadDeadline(time.Unix(1, 0))
		}
	}
}

// count returns the number of taken slots and of waiting connections.
func (s *slots) count() (taken, waiting int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken + s.admins, len(s.waiting)
}

// awaitSlot waits for a connection's slot. false: the peer has gone, or the server ends.
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

// peek waits for the first byte of a peer without consuming it.
func peek(socket net.Conn) (byte, error) {
	var b [1]byte
	_, err := proxyproto.Peek(socket, b[:])
	return b[0], err
}
