package reactor

import (
	"io"

	"github.com/panjf2000/gnet/v2"
)

// pacer brings a loop back to work that it does in slices, once for each batch of events. A task would
// not do: gnet goes on running tasks until there is none, before it looks at any connection. So a
// loop that has more to do sends itself a byte, through a socket that is one of its connections;
// when that is found, all connections that were ready had their turn.
type pacer struct {
	socket io.WriteCloser // where bytes for the loop are written
	loop   *loop
	due    bool // a byte is on its way
}

// startPacers gives each loop a pacer. gnet must have started and have no connection yet.
func (s *Server) startPacers() error {
	for {
		ours, theirs, err := socketPair()
		if err != nil {
			return err
		}
		p := &pacer{socket: ours}
		// gnet gives a connection to the loop that has fewest, and returns when OnOpen has.
		if _, err := s.client.EnrollContext(theirs, p); err != nil {
			ours.Close()
			return err
		}
		if p.loop == nil { // all have one
			return ours.Close()
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
func (p *pacer) opened(l *loop) gnet.Action {
	if l.pacer != nil {
		return gnet.Close
	}
	l.pacer, p.loop = p, l
	return gnet.None
}

// ask has the loop's slices done after this batch of events.
func (p *pacer) ask() {
	if p.due {
		return
	}
	p.due = true
	// One byte, where there is none: there is always room for it.
	if _, err := p.socket.Write([]byte{0}); err != nil {
		p.loop.server.log.Debug("event loop has ended", "error", err)
	}
}

// turn does the next slice, when the byte has come.
func (p *pacer) turn() {
	p.due = false
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
	l.tellOn()
	l.flushDirty()
}
