package sched

import (
	"slices"

	"gearloop/codec"
	"gearloop/internal/payload"
)

// A Fan sends packets about one job to more clients than are sent to in one call. Whoever carries out Effects is given
// it when it has something to send (Effects.Fans) and calls FanOut until that has nothing more to send, with other
// work in between. All packets of that job go through its Fan from the first one on, whoever caused them, in the order
// in which they were decided on.
//
// The worker that a packet came from waits until it has gone out (Effects.Waits): otherwise it could send packets
// faster than they are multiplied.
type Fan struct {
	shard   *shard // its lock guards all that follows
	news    []news
	at      int // listeners of the first news that are done with
	active  bool
	waiting []*Peer // workers
}

// news is a packet for those who listened to a job when it was decided on.
type news struct {
	typ  codec.Type
	body payload.View
	// instead is the data of a WORK_FAIL for those who have not asked for the type WORK_EXCEPTION; empty = nothing.
	instead []byte

	first *Peer
	rest  []*Peer
}

// listener returns one of those to be told.
func (n *news) listener(i int) *Peer {
	if i == 0 {
		return n.first
	}
	return n.rest[i-1]
}

// to sends it to one of them; false: that one hears nothing.
func (n *news) to(l *Peer, fx *Effects) bool {
	switch {
	case n.typ != codec.WorkException || l.exceptions.Load():
		fx.sendBody(l, n.typ, n.body)
	case len(n.instead) > 0:
		fx.sendBody(l, codec.WorkFail, payload.Borrow(n.instead))
	default:
		return false
	}
	return true
}

// isWide reports whether packets of the job go through a Fan.
func (j *job) isWide() bool {
	x := j.extra
	return x != nil && (x.fan != nil || len(x.listeners) >= j.fn.shard.sched.wide)
}

// spread has a packet sent by the job's Fan. p, if it is not nil, is the worker that it comes from.
func (j *job) spread(p *Peer, n news, fx *Effects) {
	x := j.extra
	if x.fan == nil {
		x.fan = &Fan{shard: j.fn.shard}
	}
	f := x.fan
	n.body = n.body.Keep()
	n.first, n.rest = j.listener, x.listeners
	f.news = append(f.news, n)
	f.shard.sched.fanned.Add(int64(n.body.Len()))
	if !f.active {
		f.active = true
		fx.Fans = append(fx.Fans, f)
	}
	if p != nil && !slices.Contains(f.waiting, p) {
		f.waiting = append(f.waiting, p)
		fx.Waits++
	}
}

// FanOut sends packets until they cost so much (Effects.Work), and reports whether it has to be called again: also
// after the last packet, because whoever sends the next one may be another goroutine, and must not begin before that
// one has been carried out. Those who waited are in Effects.Resume then. It may be called from any goroutine, but
// only one may do so at a time.
func (s *Sched) FanOut(f *Fan, most int, fx *Effects) (more bool) {
	f.shard.lock()
	defer f.shard.mu.Unlock()
	if len(f.news) == 0 {
		fx.Resume = append(fx.Resume, f.waiting...)
		f.news, f.waiting, f.active = nil, nil, false
		return false
	}
	for ; len(f.news) > 0; f.news, f.at = f.news[1:], 0 {
		n := &f.news[0]
		for skipped := 0; f.at <= len(n.rest); f.at++ {
			if fx.Work >= most {
				return true
			}
			l := n.listener(f.at)
			if !l.Gone() {
				if n.to(l, fx) {
					fx.Packets[len(fx.Packets)-1].Behind = true // what went out before may come from elsewhere
				}
				fx.Work += 1 + n.body.Len()/workBytes
			} else if skipped++; skipped%workPackets == 0 {
				fx.Work++
			}
		}
		s.fanned.Add(-int64(n.body.Len()))
		n.body.Release()
		*n = news{}
	}
	return true
}

// Fanned returns the bytes of packets that wait to be sent by Fans.
func (s *Sched) Fanned() int64 { return s.fanned.Load() }
