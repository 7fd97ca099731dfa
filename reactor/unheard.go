package reactor

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Keepalive finds peers whose machine has gone while nothing is sent to them: the kernel sends no probes as long as
// it sends data again and again, which it gives up after a quarter of an hour. TCP_USER_TIMEOUT would bound that,
// but it also ends connections to machines that do answer, when a peer has not read for so long. So the server looks by
// itself: when a connection has been written to, it is listed by its loop until the peer's system has acknowledged
// everything; one that says nothing for --dead-peer-after meanwhile is taken for gone.

// unheard lists the connections of a loop whose peers have something to acknowledge, or had when it was looked last.
type unheard struct {
	conns []*conn
	any   atomic.Bool // whether there are some, for the goroutine that has loops look
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

// remove takes a connection out, if it is listed.
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

// checkUnheard looks at the listed connections before the place end, the last ones first: deadTurn of them now, the
// rest in the loop's next turns.
func (l *loop) checkUnheard(end int) {
	end = min(end, len(l.unheard.conns)) // some have gone since
	begin := max(end-deadTurn, 0)
	for i := end - 1; i >= begin; i-- {
		l.checkSilence(l.unheard.conns[i]) // may put a later one, which was looked at, in its place
	}
	if begin > 0 {
		l.do(func() { l.checkUnheard(begin) })
	}
}

// checkSilence takes a connection from the list if nothing waits for its peer any more, and ends it if the peer's
// system has been silent for too long.
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
		c.unheardSince = l.now // its peer does not read, but its system has said so
	case silent >= s.watcher.allow:
		s.log.Info("closing a connection: the peer's machine does not answer", "peer", c.Addr, "fd", c.FD,
			"silent", silent.Round(time.Millisecond))
		s.counters.DeadPeers.Add(1)
		c.reason = closedDead
		l.unheard.remove(c)
		// Nothing of it is to be sent again by the system.
		unix.SetsockoptLinger(c.FD, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		l.doom(c)
	}
}

// socketState is what the system knows of a TCP connection.
type socketState struct {
	unacknowledged bool          // it has data of ours that the peer's system has not acknowledged
	asked          bool          // the peer's system was sent something that it has to answer
	silence        time.Duration // since that was last heard of
}

// watcher has loops look for silent peers.
type watcher struct {
	server *Server
	allow  time.Duration // silence; 0: any
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

// silenceAllowed returns after what silence a peer is taken for gone, which is what keepalive makes of the same
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

// setting returns what package net makes of a setting: 0 is its own, a negative one the system's.
func setting[T int | time.Duration](asked, system, own T) T {
	switch {
	case asked < 0:
		return system
	case asked == 0:
		return own
	}
	return asked
}
