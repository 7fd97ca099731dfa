package reactor

import (
	"sync"
	"sync/atomic"

	"gearloop/codec"
	"gearloop/internal/payload"
	"gearloop/sched"
)

// messageKind is what a message asks a loop to do.
type messageKind uint8

const (
	packetMessage   messageKind = iota // send a packet
	timerMessage                       // fire a timer of a peer
	writableMessage                    // the socket accepts more
	doomMessage                        // close the connection
	taskMessage                        // run a function
)

// message is a request to a loop from another goroutine.
type message struct {
	kind       messageKind
	conn       *conn
	typ        codec.Type   // of a packet
	ticket     uint32       // place of the packet, 0 = the end
	start, end int          // its arguments, in mailbox.args
	body       payload.View // the rest of its data, if sent by reference
	timer      *sched.Timer
	task       func()
}

// mailbox is how other goroutines reach a loop. Messages are handled in the order in which they were posted.
// The loop is woken once, however many there are.
type mailbox struct {
	loop *loop
	full atomic.Bool // messages wait, and the loop knows or is being woken

	mu       sync.Mutex
	messages []message
	args     []byte
}

// post adds a message.
func (m *mailbox) post(msg message) {
	m.mu.Lock()
	m.messages = append(m.messages, msg)
	m.mu.Unlock()
	m.ring(nil)
}

// postPacket adds a packet for one of the loop's connections. It takes over the reference in
// its body. from is the loop that posts it, or nil.
func (m *mailbox) postPacket(c *conn, p *sched.Packet, args []byte, from *loop) {
	body := p.Body
	m.mu.Lock()
	start := len(m.args)
	m.args = append(m.args, args...)
	if !shareable(body) {
		m.args = body.Append(m.args)
		body.Release()
		body = payload.View{}
	}
	m.messages = append(m.messages, message{conn: c, typ: p.Type, ticket: p.Ticket, start: start, end: len(m.args), body: body})
	m.mu.Unlock()
	m.ring(from)
}

// ring makes sure that the messages are handled, unless an earlier call has. It wakes the loop, or leaves that
// to from, the loop that posted, which calls deliver at the end of its turn.
func (m *mailbox) ring(from *loop) {
	if m.loop.server.ended.Load() {
		return // gnet would write to a descriptor that it has closed
	}
	if !m.full.Load() && m.full.CompareAndSwap(false, true) {
		if from != nil && from.canStay() {
			from.posted = append(from.posted, m.loop)
		} else {
			m.loop.server.rouse(m.loop)
		}
	}
}

// rouse rouses a loop unless the loops may have ended. Operators' calls, the store and timers come from
// goroutines that do not end with the server.
func (s *Server) rouse(l *loop) {
	s.rousing.RLock()
	defer s.rousing.RUnlock()
	if !s.ended.Load() {
		l.rouse()
	}
}

// swap returns all messages and installs the given empty slices.
func (m *mailbox) swap(messages []message, args []byte) ([]message, []byte) {
	// Before the lock: a message posted later rings again.
	m.full.Store(false)
	m.mu.Lock()
	defer m.mu.Unlock()
	messages, m.messages = m.messages, messages
	args, m.args = m.args, args
	return messages, args
}
