package reactor

import (
	"cmp"
	"slices"

	"gearloop/codec"
	"gearloop/internal/payload"
)

// held is the output of a connection from the first packet on that is still to come (sched.Reserve):
// answers keep the order of the requests, though some of them wait for the disk.
type held struct {
	places []place // the first is never filled
	begin  int     // places before it are written
	size   int     // bytes behind all places
}

// place is where a packet will stand.
type place struct {
	ticket   uint32
	answered bool    // the packet is the first in behind
	behind   *output // what comes after it; nil = nothing
}

// reserve has the output that comes next wait for a packet with this ticket.
func (c *conn) reserve(ticket uint32) {
	if c.closed || c.doomed {
		return
	}
	if c.held == nil {
		c.held = &held{}
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

// answer puts a packet into its place, and all that waited for nothing else into the output. It takes
// over the reference in body.
func (c *conn) answer(ticket uint32, t codec.Type, args []byte, body payload.View) {
	h := c.held
	i, found := 0, false
	if h != nil && !c.doomed {
		i, found = h.find(ticket)
	}
	if !found {
		body.Release() // of a connection that is closed
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
	case h.begin > len(h.places)/2:
		left := copy(h.places, h.places[h.begin:])
		clear(h.places[left:])
		h.places, h.begin = h.places[:left], 0
	}
	c.loop.touch(c)
}

// find returns the index of the place of a ticket. Tickets are issued one after the other and places are reserved
// in that order, so that places are sorted by how far their tickets are from the first; the count of tickets may
// wrap around.
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

// dropHeld gives up the output that waits.
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

// absorb appends the output of another, of which nothing is written yet and which is empty then. Where it begins with
// few small packets these are copied, so that answers that waited one by one are not written one by one.
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
