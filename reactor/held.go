package reactor

import (
	"cmp"
	"slices"

	"gearloop/codec"
	"gearloop/internal/payload"
)

// held is a connection's output from the first packet on that is not there yet (sched.Reserve): answers keep
// the order of the requests, although some wait for the disk.
type held struct {
	places []place // the first one is never answered
	begin  int     // places before it are done
	size   int     // bytes behind all places
}

// place is the position of a packet that comes later.
type place struct {
	ticket   uint32
	answered bool    // the packet has come, and is the first in behind
	behind   *output // output that follows; nil = none
}

// reserve makes later output wait for a packet with this ticket.
func (c *conn) reserve(ticket uint32) {
	if c.closed || c.doomed {
		return
	}
	if c.held == nil {
		c.held = c.loop.takeHeld()
	}
	c.held.places = append(c.held.places, place{ticket: ticket})
	c.out.booked += placeCost
	c.out.publish()
}

// tail returns the output that a packet is appended to.
func (c *conn) tail() *output {
	if c.held == nil {
		return &c.out
	}
	p := &c.held.places[len(c.held.places)-1]
	if p.behind == nil {
		p.behind = &output{total: c.out.total}
	}
	return p.behind
}

// answer puts a packet in its place, and moves everything that waited only for it to the output. It takes
// over the reference in body.
func (c *conn) answer(ticket uint32, t codec.Type, args []byte, body payload.View) {
	h := c.held
	i, found := 0, false
	if h != nil && !c.doomed {
		i, found = h.find(ticket)
	}
	if !found {
		body.Release() // the connection is closed
		return
	}
	c.loop.stats.countSent(t, args)
	if i > h.begin {
		p := &h.places[i]
		first := &output{total: c.out.total}
		first.packet(t, args, body)
		first.publish()
		h.size += first.size
		if p.behind != nil {
			first.absorb(p.behind)
		}
		p.behind, p.answered = first, true
		return
	}
	c.out.packet(t, args, body)
	for first := true; h.begin < len(h.places) && (first || h.places[h.begin].answered); first = false {
		if b := h.places[h.begin].behind; b != nil {
			h.size -= b.size
			c.out.absorb(b)
		}
		h.places[h.begin] = place{}
		h.begin++
		c.out.booked -= placeCost
	}
	switch {
	case h.begin == len(h.places):
		c.held = nil
		c.loop.giveHeld(h)
	case h.begin > len(h.places)/2:
		left := copy(h.places, h.places[h.begin:])
		clear(h.places[left:])
		h.places, h.begin = h.places[:left], 0
	}
	c.loop.touch(c)
}

const (
	spareHelds  = 16   // of a loop, for reuse
	sparePlaces = 1024 // most places in one of them
)

// takeHeld returns an empty held: connections that submit stored jobs need one again and again.
func (l *loop) takeHeld() *held {
	n := len(l.spareHelds)
	if n == 0 {
		return &held{}
	}
	h := l.spareHelds[n-1]
	l.spareHelds = l.spareHelds[:n-1]
	return h
}

// giveHeld keeps one whose places are all done.
func (l *loop) giveHeld(h *held) {
	if len(l.spareHelds) < spareHelds && cap(h.places) <= sparePlaces {
		*h = held{places: h.places[:0]}
		l.spareHelds = append(l.spareHelds, h)
	}
}

// find returns the index of a ticket's place. Tickets are consecutive and places are reserved in that order,
// so places are sorted by their distance from the first ticket; the counter of tickets may wrap around.
func (h *held) find(ticket uint32) (i int, found bool) {
	open := h.places[h.begin:]
	first := open[0].ticket
	if ticket == first { // nearly always
		return h.begin, true
	}
	i, found = slices.BinarySearchFunc(open, ticket-first, func(p place, distance uint32) int {
		return cmp.Compare(p.ticket-first, distance)
	})
	return h.begin + i, found
}

// dropHeld discards the held output.
func (c *conn) dropHeld() {
	if c.held == nil {
		return
	}
	for _, p := range c.held.places[c.held.begin:] {
		c.out.booked -= placeCost
		if p.behind != nil {
			p.behind.release()
		}
	}
	c.held = nil
}

// absorb moves all output of other, of which nothing has been written, to the end of o. Small packets at its
// beginning are copied, so that answers which waited one by one are not written one by one.
func (o *output) absorb(other *output) {
	more := other.pieces
	if last := len(o.pieces) - 1; last >= o.begin && o.pieces[last].gathers() && more[0].gathers() && len(more[0].bytes) < shareSize {
		o.pieces[last].bytes = append(o.pieces[last].bytes, more[0].bytes...)
		other.drop(&more[0])
		more = more[1:]
	}
	o.pieces = append(o.pieces, more...)
	o.size += other.size
	o.booked, o.published = o.booked+other.booked, o.published+other.published
	*other = output{total: other.total}
}
