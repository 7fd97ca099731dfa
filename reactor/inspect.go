package reactor

import (
	"sync"
	"time"

	"gearloop/sched"
)

// ConnStats describe a connection; its loop fills it in.
type ConnStats struct {
	ID       uint64
	Loop     int
	Listener string // its address; "" for a connection from inside the process
	TLS      bool
	Subject  string // of the peer's certificate, if any
	Since    time.Time
	BytesIn  uint64
	BytesOut uint64
	Buffered int // bytes of unwritten output

	Work      sched.PeerWork
	Listening int // submissions of which it was not sent the end of the job
}

// ID returns a connection's number, which is unique in the life of the process. The peer must come from the
// scheduler.
func ID(p *sched.Peer) uint64 { return p.User.(*conn).id }

// inspectTurn is how many connections a loop describes in a turn.
const inspectTurn = 128

// Inspect asks the loops for their connections, which must come from the scheduler. Results are zero for
// those that have ended, also with the server, and for those of loops that do not answer within patience.
func (s *Server) Inspect(peers []*sched.Peer, patience time.Duration) []ConnStats {
	all := make([]ConnStats, len(peers))
	if s.ended.Load() {
		return all
	}
	byLoop := map[*loop][]int{}
	for i, p := range peers {
		l := p.User.(*conn).loop
		byLoop[l] = append(byLoop[l], i)
	}
	type found struct {
		indices []int
		stats   []ConnStats
	}
	results := make(chan found, len(peers)+1) // room for the answer of a late loop
	parts := 0
	for i, l := range s.allLoops() {
		for indices := byLoop[l]; len(indices) > 0; {
			part := indices[:min(len(indices), inspectTurn)]
			indices = indices[len(part):]
			parts++
			l.do(func() {
				f := found{part, make([]ConnStats, len(part))}
				for k, at := range part {
					f.stats[k] = peers[at].User.(*conn).connStats(i)
				}
				results <- f
			})
		}
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	for range parts {
		select {
		case f := <-results:
			for k, at := range f.indices {
				all[at] = f.stats[k]
			}
		case <-late.C:
			return all
		}
	}
	return all
}

// Brief describes a connection in short; its loop fills it in.
type Brief struct {
	ID       uint64
	Since    time.Time
	Buffered int // bytes of unwritten output
	Work     sched.PeerWork
}

// surveyTurn is how many connections a loop describes in short in a turn: a hundred microseconds.
const surveyTurn = 512

// Survey asks the loops for all these connections, which must come from the scheduler, and calls each for
// those that have not ended, one call at a time. A loop describes surveyTurn of them, and then has a turn
// before it is asked for more. After patience Survey returns with what it has, and reports that some may be
// missing.
func (s *Server) Survey(peers []*sched.Peer, patience time.Duration, each func(*sched.Peer, *Brief)) (whole bool) {
	if s.ended.Load() {
		return false
	}
	counts := map[*loop]int{}
	for _, p := range peers {
		counts[p.User.(*conn).loop]++
	}
	byLoop := map[*loop][]*sched.Peer{}
	for l, n := range counts {
		byLoop[l] = make([]*sched.Peer, 0, n)
	}
	for _, p := range peers {
		l := p.User.(*conn).loop
		byLoop[l] = append(byLoop[l], p)
	}
	over := make(chan struct{})
	late := time.AfterFunc(patience, func() { close(over) })
	defer late.Stop()
	var mu sync.Mutex // guards each and missing
	var asking sync.WaitGroup
	missing := false
	for l, peers := range byLoop {
		asking.Go(func() {
			room := make([]Brief, min(len(peers), surveyTurn)) // left to the loop that is late
			for len(peers) > 0 {
				part := peers[:min(len(peers), surveyTurn)]
				peers = peers[len(part):]
				all := room[:len(part)]
				answered := make(chan struct{}, 1) // a late loop does not wait
				l.do(func() {
					for i, p := range part {
						all[i] = p.User.(*conn).brief()
					}
					answered <- struct{}{}
				})
				select {
				case <-answered:
					mu.Lock()
					for i, p := range part {
						if all[i].ID != 0 {
							each(p, &all[i])
						}
					}
					mu.Unlock()
				case <-over:
					mu.Lock()
					missing = true
					mu.Unlock()
					return
				}
			}
		})
	}
	asking.Wait()
	return !missing
}

// brief describes a connection in short, on its loop; the zero value if it has ended.
func (c *conn) brief() (b Brief) {
	if c.closed {
		return b
	}
	b = Brief{ID: c.id, Since: time.Unix(0, c.since), Buffered: c.waiting(), Work: c.loop.server.cfg.Sched.PeerWork(&c.Peer)}
	if t := c.tls; t != nil && t.session != nil {
		b.Buffered += t.pending()
	}
	return b
}

// connStats describes a connection, on its loop.
func (c *conn) connStats(loop int) (st ConnStats) {
	if c.closed {
		return st
	}
	st = ConnStats{
		ID: c.id, Loop: loop, Since: time.Unix(0, c.since), BytesIn: c.bytesIn, BytesOut: c.bytesOut, Buffered: c.waiting(),
	}
	st.Work = c.loop.server.cfg.Sched.PeerWork(&c.Peer)
	st.Listening = int(max(0, int64(st.Work.Submitted)-int64(c.ends)))
	if c.from != nil {
		st.Listener = c.from.address
	}
	if t := c.tls; t != nil && t.session != nil {
		st.TLS = true
		st.Buffered += t.pending()
		if chains := t.session.ConnectionState().VerifiedChains; len(chains) > 0 {
			st.Subject = chains[0][0].Subject.String()
		}
	}
	return st
}

// Disconnect closes a connection, which must come from the scheduler. Its pending input is dropped.
func (s *Server) Disconnect(p *sched.Peer) {
	c := p.User.(*conn)
	c.loop.do(func() {
		c.reason = closedByAdmin
		c.loop.doom(c)
	})
}
