package sched

import (
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
)

// Effects is what a call wants done: packets to send and timers to set, each in the order given.
// The caller owns it, passes it empty and empties it with Reset once it has carried everything out;
// it may be reused.
type Effects struct {
	Packets []Packet
	Timers  []Arm
	Fetches []Fetch
	Hangup  bool // close the connection of the peer that called, after sending

	Fans []*Fan // that have something to send from now on
	// Waits is for how many of them the peer that called has to wait: none of its packets is to be handled until it
	// came up as often in Resume.
	Waits  int
	Resume []*Peer

	// Work is what the call cost beyond an ordinary packet, in ordinary packets. It is counted, not timed, so it is
	// the same each time.
	Work int
	// Again says that the call stopped before it took too long. The caller makes it again, with the same arguments
	// and with State, before any other call that names this peer as the caller; others should have their turn
	// in between.
	Again bool
	State any

	args []byte // the arguments of all Packets, one after the other
}

// Packet is one packet to be sent to a peer. Its data are Args followed by Body.
type Packet struct {
	To   *Peer
	Type codec.Type
	// Body belongs to the packet: whoever sends it calls Release on it. Plain bytes of it may be
	// borrowed from the packet that was handled, and are valid only as long as that is.
	Body payload.View
	// Ticket, if it is not zero, is the place of the packet among those to the peer. One of type
	// Reserve takes the place: what comes after it has to wait until the packet with the same ticket
	// fills it.
	Ticket uint32
	// Behind says that it must come behind all that other goroutines have sent to the peer until now: some of
	// that may be of the same job. Otherwise only what the same goroutine sends to a peer has to keep its order.
	Behind     bool
	start, end int // Args in Effects.args
}

// Reserve is the type of a packet that is not sent: it takes the place of one to come.
const Reserve codec.Type = 0

// issue reserves the next place among the packets to the peer, for one that comes later. Only the
// peer's own goroutine may do so.
func (p *Peer) issue(fx *Effects) uint32 {
	ticket := p.nextTicket()
	fx.reserve(p, ticket)
	return ticket
}

// nextTicket returns a ticket that the peer has not used lately.
func (p *Peer) nextTicket() uint32 {
	if p.tickets++; p.tickets == 0 {
		p.tickets++
	}
	return p.tickets
}

// reserve takes the next place among the packets to a peer for one with this ticket.
func (fx *Effects) reserve(p *Peer, ticket uint32) {
	fx.send(p, Reserve)
	fx.Packets[len(fx.Packets)-1].Ticket = ticket
}

// Arm asks for a timer to be set, if it is not set to an earlier moment already; a zero At for it
// to be stopped.
type Arm struct {
	Timer *Timer
	At    time.Time
}

// Args returns the first arguments of a packet, each ended by its NUL if a Body follows. It is
// valid until the next call that gets these Effects.
func (fx *Effects) Args(p *Packet) []byte { return fx.args[p.start:p.end] }

// Reset empties the effects. It does not release the bodies.
func (fx *Effects) Reset() {
	if cap(fx.Packets) > retainedPackets {
		*fx = Effects{}
		return
	}
	clear(fx.Packets) // so that no body or peer is kept alive
	clear(fx.Fetches)
	clear(fx.Fans)
	clear(fx.Resume)
	fx.Fans, fx.Waits, fx.Resume = fx.Fans[:0], 0, fx.Resume[:0]
	fx.Packets, fx.Timers, fx.Fetches, fx.args = fx.Packets[:0], fx.Timers[:0], fx.Fetches[:0], fx.args[:0]
	fx.Hangup, fx.Work, fx.Again, fx.State = false, 0, false, nil
}

// send adds a packet without arguments.
func (fx *Effects) send(to *Peer, t codec.Type) {
	n := len(fx.args)
	fx.Packets = append(fx.Packets, Packet{To: to, Type: t, start: n, end: n})
}

// sendArgs adds a packet whose data are args joined by NULs.
func (fx *Effects) sendArgs(to *Peer, t codec.Type, args ...string) {
	n := len(fx.args)
	for i, a := range args {
		if i > 0 {
			fx.args = append(fx.args, 0)
		}
		fx.args = append(fx.args, a...)
	}
	fx.Packets = append(fx.Packets, Packet{To: to, Type: t, start: n, end: len(fx.args)})
}

// keepBehind has the last packet, which tells of a job to one who listens, come behind what a former worker of the
// job has sent.
func (fx *Effects) keepBehind(j *job) {
	if j.moved {
		fx.Packets[len(fx.Packets)-1].Behind = true
	}
}

// sendBody adds a packet whose data are body. It takes a reference of its own.
func (fx *Effects) sendBody(to *Peer, t codec.Type, body payload.View) {
	n := len(fx.args)
	fx.Packets = append(fx.Packets, Packet{To: to, Type: t, Body: body.Retain(), start: n, end: n})
}

// sendError adds an ERROR packet.
func (fx *Effects) sendError(to *Peer, e dialect.Error) {
	fx.sendArgs(to, codec.Error, e.Code, e.Text)
}

// sendHandle adds a packet whose only argument is a job's handle.
func (fx *Effects) sendHandle(to *Peer, t codec.Type, j *job) {
	fx.sendNumber(to, t, j.fn.shard.sched, j.number)
}

// sendNumber adds a packet whose only argument is the handle of the job with this number.
func (fx *Effects) sendNumber(to *Peer, t codec.Type, s *Sched, number uint64) {
	n := len(fx.args)
	fx.args = s.AppendHandle(fx.args, number)
	fx.Packets = append(fx.Packets, Packet{To: to, Type: t, start: n, end: len(fx.args)})
}

func (fx *Effects) arm(t *Timer, at time.Time) {
	fx.Timers = append(fx.Timers, Arm{t, at})
}
