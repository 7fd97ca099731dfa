package reactor

import (
	"io"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// pacer brings a loop back to work that it does in slices, once for each batch of events. A task would
// not do: gnet goes on running tasks until there is none, before it looks at any connection. So a
// loop that has more to do sends itself a byte, through a socket that is one of its connections;
// when that is found, all connections that were ready had their turn.
type pacer struct {
	socket io.WriteCloser // where bytes for the loop are written; Go's poller does not know it: it would wake for each
	loop   *loop
	due    bool // there is a next slice
	sent   bool // a byte for it is on its way

	theirs int // the descriptor of the loop's end
}

// wakeByte is what is sent.
var wakeByte = []byte{0}

// startPacers gives each loop a pacer. gnet must have started and have no connection yet.
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
		// gnet gives a connection to the loop that has fewest, and returns when OnOpen has.
		if _, err := s.client.EnrollContext(theirs, p); err != nil {
			p.socket.Close()
			return err
		}
		if p.loop == nil { // all have one
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

// opened gives the pacer to the loop that it has come to, unless that has one.
func (p *pacer) opened(gc gnet.Conn, l *loop) gnet.Action {
	if l.pacer != nil {
		return gnet.Close
	}
	p.theirs = gc.Fd()
	l.pacer, p.loop = p, l
	return gnet.None
}

// ask has the loop's slices done after this batch of events.
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
	// One byte, where there is none or few: there is always room for it.
	if _, err := p.socket.Write(wakeByte); err != nil {
		p.loop.server.log.Debug("event loop has ended", "error", err)
	}
}

// pass has gnet find the byte, if a slice is due, when the loop goes back to it.
func (p *pacer) pass() {
	if p.due && !p.sent {
		p.send()
	}
}

// taken reads bytes that have come: for a slice, or to wake the loop.
func (p *pacer) taken() {
	var b [64]byte
	unix.Read(p.theirs, b[:])
	p.sent = false
}

// turn does the next slice, when the byte has come, or the loop has found by itself that one is due.
func (p *pacer) turn() {
	p.due, p.sent = false, false
	l := p.loop
	defer func() {
		if l.server.caught(recover()) {
			l.fx.Reset()
			l.wakeSelf() // for the rest of the mail
		}
	}()
	l.begin()
	l.pushes, l.pushLater = append(l.pushes, l.pushLater...), l.pushLater[:0]
	l.carryPushes()
	l.goOn()
	l.fanOut()
	l.nextTables()
	l.flushDirty()
}
