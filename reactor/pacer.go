package reactor

import (
	"io"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// pacer brings a loop back to work that it does in slices, once per batch of events. A gnet task would not
// do, because gnet runs tasks until none is left before it looks at connections. So a loop with more to do
// sends itself a byte through a socket that is one of its connections; when it reads the byte, all
// connections that were ready have had their turn.
type pacer struct {
	socket io.WriteCloser // our end; not known to Go's poller, which would wake for each byte
	loop   *loop
	due    bool // a slice is due
	sent   bool // a byte for it is on its way

	theirs int // descriptor of the loop's end
}

// wakeByte is the byte.
var wakeByte = []byte{0}

// startPacers gives each loop a pacer. gnet must have started and have no connections yet.
func (s *Server) startPacers() error {
	for {
		pair, err := barePair()
		if err != nil {
			return err
		}
		theirs, err := pair[1].conn()
		if err != nil {
			pair[0].Close()
			return err
		}
		p := &pacer{socket: pair[0]}
		// gnet gives a connection to the loop with the fewest, and returns after OnOpen.
		if _, err := s.client.EnrollContext(theirs, p); err != nil {
			p.socket.Close()
			return err
		}
		if p.loop == nil { // all loops have one
			return p.socket.Close()
		}
		s.pacers = append(s.pacers, p)
	}
}

// stopPacers closes the sockets. The loops must have ended.
func (s *Server) stopPacers() {
	for _, p := range s.pacers {
		p.socket.Close()
	}
}

// opened assigns the pacer to the loop that got its connection, unless that has one.
func (p *pacer) opened(gc gnet.Conn, l *loop) gnet.Action {
	if l.pacer != nil {
		return gnet.Close
	}
	p.theirs = gc.Fd()
	l.pacer, p.loop = p, l
	return gnet.None
}

// ask requests the loop's slices after this batch of events.
func (p *pacer) ask() {
	if p.due {
		return
	}
	p.due = true
	if p.loop.state.Load() == inGnet {
		p.send()
	}
}

// send sends the byte.
func (p *pacer) send() {
	p.sent = true
	// There is always room for a byte, because few or none are in the socket.
	if _, err := p.socket.Write(wakeByte); err != nil {
		p.loop.server.log.Debug("event loop has ended", "error", err)
	}
}

// pass makes gnet find the byte if a slice is due when the loop returns to it.
func (p *pacer) pass() {
	if p.due && !p.sent {
		p.send()
	}
}

// drain reads the bytes, which came for a slice or to wake the loop.
func (p *pacer) drain() {
	var b [64]byte
	unix.Read(p.theirs, b[:])
	p.sent = false
}

// turn does the next slice, after the byte has come or the loop has noticed by itself that one is due.
func (p *pacer) turn() {
	p.due, p.sent = false, false
	l := p.loop
	defer func() {
		if l.server.caught(recover()) {
			l.fx.Reset()
			l.wakeSelf() // for the rest of the turn
			p.ask()      // and of the slices
		}
	}()
	l.begin()
	l.pushes, l.pushLater = append(l.pushes, l.pushLater...), l.pushLater[:0]
	l.carryPushes()
	l.goOn()
	l.closeLeaving()
	l.fanOut()
	l.nextTables()
	l.flushDirty()
}
