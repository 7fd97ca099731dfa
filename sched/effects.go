package sched

import (
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/invariants"
	"gearloop/internal/payload"
)

// Effects are what the caller must do after a call: send packets and set timers, each in the given order. The
// caller owns the value, passes it empty, carries everything out and calls Reset to reuse it.
type Effects struct {
	Packets []Packet
	Timers  []Arm
	Fetches []Fetch
	Hangup  bool // after sending, close the connection of the peer that called

	Fans []*Fan // Fans that have something to send
	// Waits is the number of fans the calling peer has to wait for: none of its packets may be handled until it
	// has appeared that often in Resume.
	Waits  int
	Resume []*Peer

	// Hurry says that the store was given jobs. The caller calls Sched.Hurry when it has handled the packets that
	// it has at hand. Until then the store may wait.
	Hurry bool

	// Work is the cost of the call beyond an ordinary packet, in ordinary packets. It is counted, not timed, so
	// it is deterministic.
	Work int
	// Again says that the call stopped early because it would have taken too long. The caller repeats it with
	// the same arguments and with State, before any other call of this peer; other peers should have their turn
	// in between.
	Again bool
	State any

	args []byte // the arguments of all Packets, concatenated

	// submitted is the function of the last submission, which Reset leaves: the next one need not look it up.
	submitted *function
}

// Packet is a packet to send to a peer. Its data are Args followed by Body.
type Packet struct {
	To *Peer
	// Body belongs to the packet: whoever sends it calls Release. It may borrow bytes from the packet that was
	// handled, or from its job, and is then valid only as long as that packet and until the next call of the
	// peer that called.
	Body payload.View
	Type codec.Type
	// Ticket, unless zero, identifies a reserved place in the peer's output. A packet of type Reserve reserves
	// it: later packets wait until the packet with the same ticket has taken it.
	Ticket uint32
	// Behind says that the packet must follow everything that other goroutines have sent to the peer so far,
	// because some of that may be about the same job. Otherwise only packets from the same goroutine keep their
	// order.
	Behind     bool
	start, end uint32 // Args in Effects.args; small, so that a packet fits in a cache line
}

// Reserve is the type of a packet that is not sent: it reserves a place for a later one.
const Reserve codec.Type = 0

// issue reserves the next place in the peer's output for a later packet. Only the peer's own goroutine may
// call it.
func (p *Peer) issue(fx *Effects) uint32 {
	ticket := p.nextTicket()
	fx.reserve(p, ticket)
	return ticket
}

// nextTicket returns a ticket that the peer has not used recently.
func (p *Peer) nextTicket() uint32 {
	if p.tickets++; p.tickets == 0 {
		p.tickets++
	}
	return p.tickets
}

// reserve reserves the next place in a peer's output under this ticket.
func (fx *Effects) reserve(p *Peer, ticket uint32) {
	fx.send(p, Reserve)
	fx.Packets[len(fx.Packets)-1].Ticket = ticket
}

// Arm sets a timer, unless it is already set to an earlier moment; a zero At stops it.
type Arm struct {
	Timer *Timer
	At    time.Time
}

// Args returns the leading arguments of a packet, each terminated by NUL if a Body follows. The result is
// valid until the next call that gets these Effects.
func (fx *Effects) Args(p *Packet) []byte { return fx.args[p.start:p.end] }

// Reset empties the Effects. It does not release bodies.
func (fx *Effects) Reset() {
	invariants.Poison(fx.args[:cap(fx.args)])
	if cap(fx.Packets) > retainedPackets {
		*fx = Effects{}
		return
	}
	// Drop the references to bodies and peers: add relies on packets that are zero. Mostly there is one packet,
	// or two.
	for i := range fx.Packets {
		fx.Packets[i] = Packet{}
	}
	fx.Packets, fx.Timers, fx.args = fx.Packets[:0], fx.Timers[:0], fx.args[:0]
	fx.Hangup, fx.Hurry, fx.Work, fx.Again, fx.Waits = false, false, 0, false, 0
	if fx.State != nil {
		fx.State = nil
	}
	if len(fx.Fetches)+len(fx.Fans)+len(fx.Resume) > 0 {
		clear(fx.Fetches)
		clear(fx.Fans)
		clear(fx.Resume)
		fx.Fetches, fx.Fans, fx.Resume = fx.Fetches[:0], fx.Fans[:0], fx.Resume[:0]
	}
}

// add adds a packet whose arguments are fx.args from start on, and returns it. The caller sets further fields
// there: to make a Packet elsewhere and copy it takes 10 ns more, as the copy waits for what was just written.
func (fx *Effects) add(to *Peer, t codec.Type, start int) *Packet {
	n := len(fx.Packets)
	if n < cap(fx.Packets) {
		fx.Packets = fx.Packets[:n+1] // it is zero, see Reset
	} else {
		fx.Packets = append(fx.Packets, Packet{})
	}
	p := &fx.Packets[n]
	if invariants.Enabled && (p.To != nil || p.Body.Len() > 0 || p.Ticket != 0 || p.Behind) {
		invariants.Failf("a new packet is not zero: %+v", p)
	}
	p.To, p.Type, p.start, p.end = to, t, uint32(start), uint32(len(fx.args))
	return p
}

// send adds a packet without data.
func (fx *Effects) send(to *Peer, t codec.Type) {
	fx.add(to, t, len(fx.args))
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
	fx.add(to, t, n)
}

// keepBehind marks the last packet, which goes to a listener, to follow what a former worker of the job has
// sent.
func (fx *Effects) keepBehind(j *job) {
	if j.marks&moved != 0 {
		fx.Packets[len(fx.Packets)-1].Behind = true
	}
}

// sendBody adds a packet whose data are body. It retains body.
func (fx *Effects) sendBody(to *Peer, t codec.Type, body payload.View) {
	fx.add(to, t, len(fx.args)).Body = body.Retain()
}

// sendError adds an ERROR packet.
func (fx *Effects) sendError(to *Peer, e dialect.Error) {
	fx.sendArgs(to, codec.Error, e.Code, e.Text)
}

// sendHandle adds a packet whose only argument is a job's handle.
func (fx *Effects) sendHandle(to *Peer, t codec.Type, j *job) {
	n := len(fx.args)
	fx.args = j.fn.shard.appendHandle(fx.args, j.number)
	fx.add(to, t, n)
}

// sendNumber adds a packet whose only argument is the handle of the job with this number.
func (fx *Effects) sendNumber(to *Peer, t codec.Type, s *Sched, number uint64) {
	n := len(fx.args)
	fx.args = s.AppendHandle(fx.args, number)
	fx.add(to, t, n)
}

func (fx *Effects) arm(t *Timer, at time.Time) {
	fx.Timers = append(fx.Timers, Arm{t, at})
}
