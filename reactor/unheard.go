package reactor

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Keepalive does not find a dead peer to which data was sent: the kernel sends no probes while it
// retransmits, and gives up only after a quarter of an hour. TCP_USER_TIMEOUT would shorten that, but it also
// ends connections to machines that do answer while their program does not read. So the server checks by
// itself. A loop lists a connection that was written to until the peer's system has acknowledged everything,
// and closes it if that system says nothing for --dead-peer-after.

// unheard lists the connections of a loop that have unacknowledged data, or had at the last check.
type unheard struct {
	conns []*conn
	any   atomic.Bool // not empty; for the goroutine that starts the checks
}

// add lists a connection that is written to.
func (u *unheard) add(c *conn) {
	if c.unheard > 0 || c.loop.server.watcher.allow == 0 || !c.Addr.IsValid() {
		return
	}
	c.unheardSince = c.loop.now
	u.conns = append(u.conns, c)
	c.unheard = len(u.conns)
	if len(u.conns) == 1 {
		u.any.Store(true)
	}
}

// remove removes a connection, if it is listed.
func (u *unheard) remove(c *conn) {
	if c.unheard == 0 {
		return
	}
	last := len(u.conns) - 1
	moved := u.conns[last]
	u.conns[c.unheard-1] = moved
	moved.unheard = c.unheard
	u.conns[last] = nil
	u.conns = u.conns[:last]
	c.unheard = 0
	if last == 0 {
		u.conns = nil
		u.any.Store(false)
	}
}

// checkUnheard checks the listed connections before index end, from the last to the first: deadTurn of them
// now, the rest in later turns.
func (l *loop) checkUnheard(end int) {
	end = min(end, len(l.unheard.conns)) // some may have been removed since
	begin := max(end-deadTurn, 0)
	for i := end - 1; i >= begin; i-- {
		l.checkSilence(l.unheard.conns[i]) // may move a later, already checked one to this index
	}
	if begin > 0 {
		l.do(func() { l.checkUnheard(begin) })
	}
}

// checkSilence removes a connection from the list if its peer has acknowledged everything, and closes it if
// the peer's system has been silent for too long.
func (l *loop) checkSilence(c *conn) {
	s := l.server
	state, err := stateOf(c.FD)
	if err != nil || !state.unacknowledged {
		l.unheard.remove(c)
		return
	}
	if heard := l.now.Add(-state.silence); heard.After(c.unheardSince) {
		c.unheardSince = heard
	}
	switch silent := l.now.Sub(c.unheardSince); {
	case !state.asked:
		c.unheardSince = l.now // the peer does not read, but its system has said so
	case silent >= s.watcher.allow:
		s.log.Info("closing a connection: the peer's machine does not answer", "peer", c.Addr, "fd", c.FD,
			"silent", silent.Round(time.Millisecond))
		s.counters.DeadPeers.Add(1)
		c.reason = closedDead
		l.unheard.remove(c)
		// The system must not retransmit any of its data.
		unix.SetsockoptLinger(c.FD, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		l.doom(c)
	}
}

// socketState is what the system knows about a TCP connection.
type socketState struct {
	unacknowledged bool          // the peer's system has not acknowledged all our data
	asked          bool          // the peer's system was sent something that it must answer
	silence        time.Duration // time since its last answer
}

// watcher makes loops check for silent peers.
type watcher struct {
	server *Server
	allow  time.Duration // the allowed silence; 0: any
	done   chan struct{}
	ended  sync.WaitGroup
}

func newWatcher(s *Server) *watcher {
	return &watcher{server: s, allow: s.cfg.silenceAllowed(), done: make(chan struct{})}
}

func (w *watcher) start() {
	if w.allow > 0 {
		w.ended.Go(w.run)
	}
}

func (w *watcher) run() {
	pause := time.NewTicker(max(w.allow/deadShare, deadPause))
	defer pause.Stop()
	for {
		select {
		case <-w.done:
			return
		case <-pause.C:
		}
		for _, l := range w.server.allLoops() {
			if l.unheard.any.Load() {
				l.do(func() { l.checkUnheard(len(l.unheard.conns)) })
			}
		}
	}
}

func (w *watcher) stop() {
	close(w.done)
	w.ended.Wait()
}

// timedOut reports whether a connection ended because keepalive was not answered.
func timedOut(err error) bool { return errors.Is(err, unix.ETIMEDOUT) }

// silenceAllowed returns the silence after which a connection is closed, the same that keepalive makes of the
// settings; 0 = never.
func (c *Config) silenceAllowed() time.Duration {
	k := c.KeepAlive
	if !k.Enable {
		return c.DeadPeerAfter
	}
	system := systemKeepAlive()
	return setting(k.Idle, system.Idle, 15*time.Second) +
		setting(k.Interval, system.Interval, 15*time.Second)*time.Duration(setting(k.Count, system.Count, 9))
}

// setting returns the effective value of a keepalive setting as package net has it: 0 is its own default, a
// negative value the system's.
func setting[T int | time.Duration](asked, system, own T) T {
	switch {
	case asked < 0:
		return system
	case asked == 0:
		return own
	}
	return asked
}
