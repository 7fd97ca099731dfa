package sched

import (
	"slices"

	"gearloop/codec"
	"gearloop/internal/payload"
)

// A Fan sends packets about one job to more clients than one call may send to. Whoever carries out Effects
// gets it in Effects.Fans when it has something to send, and calls FanOut until nothing is left, with other
// work in between. From the first one on, all packets about that job go through its Fan, whoever caused them,
// in the order in which they were decided.
//
// The worker that sent a packet waits until all listeners have it (Effects.Waits). Otherwise it could send
// packets faster than they are multiplied.
type Fan struct {
	shard   *shard // its lock guards all fields below
	news    []news
	at      int // listeners of the first news that are done
	active  bool
	waiting []*Peer // workers that wait
}

// news is a packet for the clients that listened to the job when it was decided.
type news struct {
	typ  codec.Type
	body payload.View
	// instead is the data of a WORK_FAIL for listeners without the option exceptions, in place of
	// WORK_EXCEPTION; empty = send nothing.
	instead []byte

	first *Peer
	rest  []*Peer
}

// listener returns the i-th recipient.
func (n *news) listener(i int) *Peer {
	if i == 0 {
		return n.first
	}
	return n.rest[i-1]
}

// to sends the packet to one recipient; false if that one gets nothing.
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

// spread queues a packet on the job's Fan. p, unless nil, is the worker that sent it.
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

// FanOut sends packets until their cost (Effects.Work) reaches most, and reports whether it must be called
// again. It must also be called after the last packet, because the next packet may come from another
// goroutine and must not be sent before this one's effects are carried out. Workers that waited are in
// Effects.Resume then. Any goroutine may call it, but only one at a time.
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
					fx.Packets[len(fx.Packets)-1].Behind = true // earlier packets may come from another goroutine
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

// Fanned returns the bytes of packets that wait in Fans.
func (s *Sched) Fanned() int64 { return s.fanned.Load() }
