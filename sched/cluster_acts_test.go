package sched

import (
	"slices"
	"time"

	"gearloop/codec"
)

// trouble is how often, of a thousand steps, something goes wrong in a run.
type trouble struct{ cuts, failovers, fates, stalls int }

// longestStall is for how many steps the database may leave a transaction alone: long enough for a lease to end, and for
// another broker to do all that it wants to do.
const longestStall = 400

// act does one step of one part of the cluster.
func (c *clusterSim) act() {
	rng := c.rng
	b := c.brokers[rng.IntN(len(c.brokers))]
	switch n := rng.IntN(1000); {
	case n < c.trouble.cuts:
		c.cut()
	case n < c.trouble.cuts+c.trouble.failovers:
		c.say("failover")
		c.counts.Failovers++
		c.db.failover()
	case n < c.trouble.cuts+c.trouble.failovers+c.trouble.fates:
		c.fate(b)
	case n < c.trouble.cuts+c.trouble.failovers+c.trouble.fates+c.trouble.stalls:
		if len(c.db.open) > 0 {
			c.db.open[rng.IntN(len(c.db.open))].stalled = c.step + rng.IntN(longestStall)
		}
	case n < 260:
		c.actPeer(b)
	case n < 560:
		for range 1 + rng.IntN(3) {
			c.actEngine(b)
		}
	case n < 880:
		for range 1 + rng.IntN(5) {
			if len(c.db.open) > 0 {
				if tx := c.db.open[rng.IntN(len(c.db.open))]; tx.stalled <= c.step {
					c.db.advance(tx)
				}
			}
		}
	case n < 940:
		if len(c.db.log) > 0 {
			c.db.sync(1 + rng.IntN(len(c.db.log)))
		}
	case n < 997:
		c.now = c.now.Add(time.Duration(rng.IntN(1200)) * time.Millisecond)
	default:
		c.now = c.now.Add(time.Duration(rng.IntN(12)) * time.Second)
		c.say("time passes")
	}
}

// cut has a client lose its connection.
func (c *clusterSim) cut() {
	if len(c.db.open) == 0 {
		return
	}
	tx := c.db.open[c.rng.IntN(len(c.db.open))]
	if tx.by != nil {
		c.say("broker %d loses a connection", tx.by.broker.name)
		c.counts.Lost++
		c.db.cut(tx, c.rng.IntN(2) == 0)
	}
}

// fate has a broker die, freeze, end or come back.
func (c *clusterSim) fate(b *simBroker) {
	switch n := c.rng.IntN(8); {
	case !b.alive && n > 2:
	case !b.alive:
		c.say("broker %d starts", b.name)
		b.start()
	case b.frozen && n > 2:
	case b.frozen:
		c.say("broker %d goes on", b.name)
		b.frozen = false
	case n == 0:
		c.say("broker %d dies", b.name)
		c.counts.Crashes++
		b.crash()
	case n < 3:
		c.say("broker %d freezes", b.name)
		b.frozen = true
	case n == 3 && b.engine.me != 0:
		c.say("broker %d ends", b.name)
		b.engine.leave = true
		b.s.Freeze()
	}
}

// actPeer has a client or a worker do something.
func (c *clusterSim) actPeer(b *simBroker) {
	if !b.alive || b.frozen || b.engine.leave {
		return
	}
	rng := c.rng
	p := b.order[rng.IntN(len(b.order))]
	unique := pick(rng, "", "u", "u", "v", "w")
	switch {
	case rng.IntN(40) == 0:
		c.say("broker %d: fd %d leaves", b.name, p.peer.FD)
		b.order = slices.DeleteFunc(b.order, func(o *simPeer) bool { return o == p })
		b.carry(func(fx *Effects) { b.s.Disconnect(p.peer, c.now, fx) })
		b.connect(p.kind)
	case p.kind == simBackground:
		b.send(p, pick(rng, codec.SubmitJobBg, codec.SubmitJobBg, codec.SubmitJobHighBg), "f", unique, "x")
	case p.kind == simForeground:
		b.send(p, codec.SubmitJob, "f", unique, "x")
	case len(p.has) > 0 && rng.IntN(3) > 0:
		number := p.has[0]
		p.has = p.has[1:]
		b.send(p, codec.WorkComplete, string(b.s.AppendHandle(nil, number)), "")
	default:
		before := b.shelved()
		b.send(p, codec.GrabJob)
		c.counts.Shelved += max(0, b.shelved()-before)
	}
}

func (b *simBroker) shelved() (n int) {
	for i := range b.s.shards {
		n += b.s.shards[i].shelved
	}
	return n
}

// actEngine does one step of a broker's engine.
func (c *clusterSim) actEngine(b *simBroker) {
	if !b.alive || b.frozen {
		return
	}
	e, rng := b.engine, c.rng
	switch n := rng.IntN(100); {
	case n < 35:
		if len(e.calls) > 0 {
			e.hear()
		}
	case n < 60:
		switch {
		case e.session != nil:
		case e.me == 0:
			c.db.enroll(e)
		case e.doubt != nil, len(e.next.jobs)+len(e.next.ends)+len(e.next.refused) > 0, e.suspect, e.failed:
			e.commit(1 + rng.IntN(3))
		case e.leave && len(e.calls)+len(e.contested) == 0 && e.heart == nil && e.taking == nil:
			c.db.release(e)
		}
	case n < 80:
		if e.heart == nil && e.me != 0 && !e.leave {
			c.db.beat(e)
		}
	case n < 90:
		if len(e.queue) > 0 && len(e.calls) == 0 {
			e.adopt()
		}
	case n < 96:
		if len(e.contested) > 0 {
			e.ask(e.contested[rng.IntN(len(e.contested))])
		}
	case n < 98:
		if e.session == nil && e.doubt != nil || e.me == 0 && len(e.next.jobs) > 0 {
			c.say("broker %d refuses what waits", b.name)
			e.refuse()
		}
	}
}
