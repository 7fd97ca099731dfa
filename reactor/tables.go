package reactor

import (
	"runtime"
	"slices"
	"sync"

	"gearloop/admin"
)

// sendTable answers a text command with a table. It produces as much as the turn's budget allows, which
// mostly is everything. The remainder is queued as a producer that runs once earlier output has drained, a
// slice per turn; later output waits behind it.
func (c *conn) sendTable(t *admin.Table) {
	if c.closed || c.doomed || !c.room() {
		return
	}
	l := c.loop
	b := takeBuffer()
	more := true
	for more && l.told < tableTurn {
		var cost int
		b.B, cost, more = t.Next(b.B)
		l.told += cost
	}
	o := c.tail()
	before := o.size
	if len(b.B) > 0 {
		o.bytes(b.B)
	}
	giveBuffer(b)
	if more {
		o.table(t)
	}
	c.grown(o.size - before)
}

// await queues a connection whose next output is a table.
func (l *loop) await(c *conn) {
	if !c.tabling {
		c.tabling = true
		l.tabling = append(l.tabling, c)
		l.pacer.ask()
	}
}

// nextTables produces the next slices: of the connection that has waited longest, and of further ones while
// the budget lasts.
func (l *loop) nextTables() {
	l.told = 0
	for len(l.tabling) > 0 && l.told < tableTurn {
		c := l.tabling[0]
		l.tabling = slices.Delete(l.tabling, 0, 1)
		c.tabling = false
		if !c.closed && !c.doomed && c.out.hungry() {
			l.nextTable(c)
		}
	}
	if len(l.tabling) > 0 {
		l.pacer.ask()
	}
}

// nextTable produces a slice of one connection's table and writes it.
func (l *loop) nextTable(c *conn) {
	defer func() {
		if l.server.caught(recover()) {
			l.doom(c)
		}
	}()
	l.told += c.out.produce(tableTurn - l.told)
	c.flush()
}

// table appends a producer for the rest of a table.
func (o *output) table(t *admin.Table) {
	o.add(piece{table: t})
	o.charge(&o.pieces[len(o.pieces)-1])
}

// charge accounts for the memory that a piece's table holds, as output.
func (o *output) charge(p *piece) {
	size := 0
	if p.table != nil {
		size = p.table.Size()
	}
	o.grow(size - p.charged)
	p.charged = size
}

// hungry reports whether a table must be produced before anything can be written.
func (o *output) hungry() bool {
	return o.begin < len(o.pieces) && o.pieces[o.begin].table != nil && len(o.pieces[o.begin].bytes) == 0
}

// produce takes steps of the next table until they cost most or there is enough to write, and returns their
// cost. The output must be hungry.
func (o *output) produce(most int) (spent int) {
	p := &o.pieces[o.begin]
	p.buffer = takeBuffer()
	p.bytes = p.buffer.B
	for p.table != nil && spent < most && len(p.bytes) < gatherSize/2 {
		var cost int
		var more bool
		if p.bytes, cost, more = p.table.Next(p.bytes); !more {
			p.table = nil
		}
		spent += cost
	}
	o.grow(len(p.bytes))
	o.charge(p)
	if len(p.bytes) == 0 {
		p.empty()
	}
	return spent
}

// empty returns the buffer of a table's piece that was written.
func (p *piece) empty() {
	b, bytes := p.buffer, p.bytes
	p.buffer, p.bytes = nil, nil
	b.B = bytes
	giveBuffer(b)
}

// offLoops is held while a table is produced outside of the loops: one at a time, so that a loop which needs
// a processor waits for one slice at most.
var offLoops sync.Mutex

// produceAll produces the next bytes, outside of the loops, if they are a table's.
func (o *output) produceAll() {
	for o.hungry() {
		offLoops.Lock()
		o.produce(tableTurn)
		offLoops.Unlock()
		runtime.Gosched()
	}
}
