package reactor

import "time"

// A packet may cost far more than its size: when a worker with 16,384 functions asks for a job in vain, all
// of them are examined. So the scheduler reports the cost (sched.Effects.Work), and a connection that has
// used up its turn queues for the next one with its unhandled input. Meanwhile its socket is not read:
// further input stays in the kernel, which makes the peer wait.

// halts are the reasons why a connection is not read, apart from waiting input.
type halts uint8

const (
	haltFan  halts = 1 << iota // its packet is on the way to many listeners (fans.go)
	haltRoom                   // there is no room for its input (pressure.go)
)

// stopped reports whether no more of the connection's input may be handled now.
func (c *conn) stopped() bool { return c.halts != 0 || c.waits() }

// waits reports whether input waits for the connection's next turn.
func (c *conn) waits() bool { return len(c.stash) > 0 || c.fast != nil && c.fast.Missing() == 0 }

// process handles input within the connection's turn, and stashes the rest. buf is valid only during the
// call.
func (c *conn) process(buf []byte) {
	if !c.waits() {
		buf = c.feed(buf)
	}
	if c.deaf {
		c.skipped(len(buf))
	} else if len(buf) > 0 {
		c.keep(append(c.stash, buf...))
	}
}

// keep sets the waiting input, which is charged like a packet that is being read.
func (c *conn) keep(stash []byte) {
	c.loop.server.reading.Add(int64(len(stash) - len(c.stash)))
	c.stash = stash
	if c.crowded != nil {
		_, missing := c.begun()
		c.loop.server.pressure.crowd.set(c.crowded, len(stash), missing)
	}
}

// steer makes the connection's socket read or unread, or its input handled, as its state requires. It is
// called after every change of that state.
func (c *conn) steer() {
	waits := c.waits() && !c.deaf
	if waits && c.halts == 0 {
		c.enqueue()
	}
	stopped := waits || c.halts != 0
	if !stopped && c.tls != nil && c.tls.over {
		c.loop.doom(c)
	}
	if stopped != c.unread && !c.closed && !c.leaving {
		c.unread = stopped
		c.loop.listen(c, !stopped)
	}
}

// enqueue queues the connection for its next turn.
func (c *conn) enqueue() {
	if !c.queued {
		c.queued = true
		c.loop.backlog.push(c)
		c.loop.pacer.ask()
	}
}

// isCrowded reports whether the loop's turn is crowded at that moment: see crowdedTurn.
func (l *loop) isCrowded(now time.Time) bool {
	return l.handled >= crowdedTurn || !l.crowdedAt.IsZero() && !now.Before(l.crowdedAt)
}

// share returns with which count of items a connection's turn begins: above 0, so that it ends early, in a crowded
// turn. The rest of its input waits in the backlog, behind connections with little input.
func (l *loop) share() int {
	if !l.isCrowded(l.now) {
		return 0
	}
	return readItems - crowdedItems
}

// goOn handles waiting input, of one connection after the other: for all together as much as one may handle in a turn,
// as far as there is time.
func (l *loop) goOn() {
	end := l.server.clock.read().Add(waitingTime)
	for done := 0; !l.backlog.empty() && done < readItems && (done == 0 || l.server.clock.read().Before(end)); {
		const begun = readItems - waitingItems
		l.items = begun
		c := l.backlog.pop()
		c.queued = false
		c.goOn()
		done += max(l.items-begun, 1)
	}
	if !l.backlog.empty() {
		l.pacer.ask()
	}
}

// goOn handles the connection's waiting input.
func (c *conn) goOn() {
	defer func() {
		if c.loop.server.caught(recover()) {
			c.loop.fx.Reset()
			c.deaf = true
			c.loop.doom(c)
		}
		if c.closed && (c.deaf || !c.waits()) {
			c.depart()
			return
		}
		c.steer()
	}()
	if c.deaf {
		c.keep(nil)
	}
	if c.deaf || c.halts != 0 {
		return
	}
	if c.mustRest() {
		_, missing := c.begun()
		c.awaitRoom(len(c.stash), missing)
		return
	}
	if c.fast != nil && c.fast.Missing() == 0 {
		c.finishFast()
	}
	if c.fast == nil || c.fast.Missing() > 0 {
		if c.keep(c.feed(c.stash)); c.deaf {
			c.skipped(len(c.stash))
			c.keep(nil)
		}
	}
}

// retainedItems is for how many items an empty queue keeps memory.
const retainedItems = 1024

// fifo is a queue.
type fifo[T any] struct {
	items []T
	begin int // items before it were removed
}

func (q *fifo[T]) empty() bool { return q.begin == len(q.items) }

func (q *fifo[T]) push(item T) { q.items = append(q.items, item) }

// pop removes the first item. The queue must not be empty.
func (q *fifo[T]) pop() T {
	var none T
	item := q.items[q.begin]
	q.items[q.begin] = none
	q.begin++
	switch {
	case q.begin == len(q.items):
		if q.items, q.begin = q.items[:0], 0; cap(q.items) > retainedItems {
			q.items = nil
		}
	case q.begin > len(q.items)/2:
		left := copy(q.items, q.items[q.begin:])
		clear(q.items[left:])
		q.items, q.begin = q.items[:left], 0
	}
	return item
}
