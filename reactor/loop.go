package reactor

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"

	"gearloop/internal/invariants"
	"gearloop/internal/payload"
	"gearloop/internal/slim"
	"gearloop/sched"
)

// retainedMailBytes and retainedMailMessages are how much of a mailbox's memory is kept for reuse, in bytes
// and messages.
const (
	retainedMailBytes    = 1 << 20
	retainedMailMessages = 16 << 10
)

// States of a loop, for those who post mail.
const (
	inGnet  int32 = iota // woken by a call of Run
	awake                // checks its mail before it sleeps
	asleep               // woken by a byte through its pacer
	standIn              // asleep, and another loop handles its mail
	lodged               // its host does its turns (lodge_linux.go)
)

// loop is our part of one of gnet's event loops. Only that loop's goroutine uses it, while that sleeps a loop
// that stands in for it, and while it lodges its host, except for the mailbox and the atomic fields.
type loop struct {
	server *Server
	index  int // in Server.allLoops
	events gnet.EventLoop
	mail   mailbox
	now    time.Time // start of this turn
	fx     sched.Effects
	conns  map[*conn]struct{}
	most   slim.Peak // of conns

	dirty     []*conn          // connections with output to write
	heavy     fifo[*conn]      // those of them with much output, which wait for a turn with room for it
	written   int              // bytes written to them in this turn
	fans      fifo[*sched.Fan] // fans with packets to send
	doomed    []*conn          // connections to close
	pushes    []*conn          // ALL_YOURS workers that are due a job
	pushLater []*conn          // those handled in the next turn
	woken     bool             // Run will be called after the current batch of events
	calls     int              // calls of OnTraffic since Run was requested
	alone     int              // number of calls for which to write at once, see end
	mailed    []message        // from the mailbox; messages before mailedAt are done
	mailedAt  int
	mailArgs  []byte

	grabs grabs // GRAB_JOB* that are handled at the end of this turn

	spareHelds []*held // see takeHeld

	begins  int         // calls of begin since it read the clock
	clocked int         // handled when it read the clock
	handled int         // sum of items of this turn
	items   int         // cost of the current connection in this turn: packets, lines, sched.Effects.Work
	poller  int         // gnet's epoll descriptor, see pollerOf
	backlog fifo[*conn] // connections whose input waits for their turn
	pacer   *pacer
	tabling []*conn // connections whose next output is a table, in the order of their slices
	told    int     // cost of table steps in this turn

	stats     LoopStats // gauges in it are filled in when it is published
	published atomic.Pointer[LoopStats]
	turnAt    time.Time    // start of the turn; zero between turns
	crowdedAt time.Time    // when the turn, or that of the loop's host, is crowded; zero between turns
	worked    atomic.Int64 // nanoseconds spent in turns, from those that are timed

	buffered atomic.Int64 // memory of the output of all connections, in bytes

	slow    stalls // connections with more than assuredSize of output
	idlers  stalls // connections with more than idleSize of output
	uploads stalls // connections inside a packet
	unheard unheard

	entering *conn // the connection that is being registered

	state  atomic.Int32 // inGnet, awake, asleep, standIn or lodged
	hurry  bool         // the store was given jobs in this turn, and hurryStore has not been called since
	posted []*loop      // loops that got mail in this turn and do not know yet
	standing
	lodging

	vectors [maxVectors][]byte
	buffer  [readSize]byte
	ahead   *payload.Payload // the payload that readAhead has read into; nil from tookAhead on
	plain   []byte           // TLS decrypts into it; see plainBuffer
}

func newLoop(s *Server, events gnet.EventLoop) *loop {
	l := &loop{server: s, events: events, conns: map[*conn]struct{}{}, poller: pollerOf(events)}
	l.mail.loop = l
	l.standing.init(events)
	l.lodging.init()
	return l
}

// Run is called by gnet after all events of a batch: it empties the mailbox and writes output.
func (l *loop) Run(context.Context) error {
	if l.woken && l.calls == 1 {
		l.alone = aloneCalls
	}
	l.woken = false
	l.told = 0
	defer func() {
		if l.server.caught(recover()) {
			l.fx.Reset()
			l.wakeSelf() // for the rest of the turn
		}
	}()
	l.begin()
	l.handleGrabs()
	l.hurryStore()
	l.flushDirty()
	l.endTurn()
	l.stay()
	return nil
}

// wake makes gnet call Run. Any goroutine may call it.
func (l *loop) wake() {
	if err := l.events.Execute(context.Background(), l); err != nil {
		l.server.log.Debug("event loop has ended", "error", err)
	}
}

// wakeSelf requests a call of Run, once for all requests until then.
func (l *loop) wakeSelf() {
	if !l.woken {
		l.woken = true
		l.calls = 1
		l.wake()
	}
}

// begin starts a call from gnet: it handles the mail before any new input, so that causes precede their
// effects. It reads the clock in the first call of a turn, in some of the others, and for mail: a timer has
// fired by the clock, and must not be handled as of an earlier moment.
func (l *loop) begin() {
	mail := l.mail.full.Load()
	if l.begins++; l.turnAt.IsZero() || mail || l.begins >= readClock || l.handled-l.clocked >= readClockItems ||
		l.mailedAt < len(l.mailed) {
		l.begins, l.clocked = 0, l.handled
		l.now = l.server.clock.read()
		l.startTurn()
		l.handleMail() // the rest, if a message handles mail
	}
	if mail {
		// Once is enough: what is posted from now on has no visible effect yet.
		invariants.Poison(l.mailArgs[:cap(l.mailArgs)])
		l.mailed, l.mailArgs = l.mail.swap(recycle(l.mailed, retainedMailMessages), recycle(l.mailArgs, retainedMailBytes))
		l.mailedAt = 0
		l.stats.MailBatches++
		l.stats.MailItems += uint64(len(l.mailed))
		l.handleMail()
	}
}

// handleMail handles the messages that were taken from the mailbox. A panic in one of them ends neither the others
// nor the caller, which have nothing to do with it.
func (l *loop) handleMail() {
	for l.mailedAt < len(l.mailed) {
		l.attempt(l.handleUntilFault)
	}
}

// handleUntilFault handles messages until one panics.
func (l *loop) handleUntilFault() {
	for l.mailedAt < len(l.mailed) {
		m := &l.mailed[l.mailedAt]
		l.mailedAt++
		l.handle(m)
	}
}

// recycle empties a slice for reuse, or drops it if it has become large.
func recycle[T any](s []T, retained int) []T {
	if cap(s) > retained {
		return nil
	}
	clear(s)
	return s[:0]
}

// end ends a call from gnet. Output is written after all ready connections had their turn, so that each is
// written to once. gnet does not say how many are ready, and to be called after them costs two system calls;
// so when that turned out to be for one connection only, the next few calls write at once.
func (l *loop) end() {
	l.calls++
	switch {
	case l.woken:
	case l.canStay():
		l.wakeSelf()
	case len(l.dirty) == 0 && len(l.doomed) == 0:
		l.endTurn()
	case l.alone > 0 && len(l.doomed) == 0:
		l.alone--
		l.written = 0
		l.flushOutput()
		l.endTurn()
		if len(l.doomed) > 0 {
			l.wakeSelf()
		}
	default:
		l.wakeSelf()
	}
}

// handle handles a message.
func (l *loop) handle(m *message) {
	c := m.conn
	switch m.kind {
	case packetMessage:
		c.send(m.typ, m.ticket, l.mailArgs[m.start:m.end], m.body)
		l.carryPushes()
	case timerMessage:
		if !c.departed {
			l.server.cfg.Sched.Fire(m.timer, l.now, &l.fx)
			l.carry(c)
		}
	case writableMessage:
		c.blocked = false
		l.touch(c)
	case doomMessage:
		l.doom(c)
	case taskMessage:
		m.task()
	}
}

// do runs a function on the loop. Any goroutine may call it.
func (l *loop) do(task func()) { l.mail.post(message{kind: taskMessage, task: task}) }

// touch marks a connection as having output.
func (l *loop) touch(c *conn) {
	if !c.dirty {
		c.dirty = true
		l.dirty = append(l.dirty, c)
	}
}

// doom closes a connection at the end of the turn. None of its remaining input is handled.
func (l *loop) doom(c *conn) {
	c.deaf = true
	l.sever(c)
}

// sever closes a connection whose peer accepts no output, at the end of the turn. What the peer had sent is
// handled.
func (l *loop) sever(c *conn) {
	if !c.doomed && !c.closed {
		c.doomed = true
		l.doomed = append(l.doomed, c)
		c.weigh()
	}
}

// carry carries out the loop's effects. caller is the sender of the handled packet, or nil.
func (l *loop) carry(caller *conn) {
	l.server.carry(&l.fx, l, caller)
	if len(l.pushes) > 0 {
		l.carryPushes()
	}
}

// carry carries out fx and empties it. on is the calling loop, or nil for any other goroutine: packets for
// connections of on and of its housemates are sent directly, all others through mailboxes. caller is the sender of
// the handled packet, or nil.
func (s *Server) carry(fx *sched.Effects, on *loop, caller *conn) {
	for i := range fx.Packets {
		p := &fx.Packets[i]
		if c := p.To.User.(*conn); !p.Behind && (c.loop == on || on.reaches(c.loop)) {
			c.send(p.Type, p.Ticket, fx.Args(p), p.Body)
		} else {
			c.loop.mail.postPacket(c, p, fx.Args(p), on)
		}
	}
	for _, a := range fx.Timers {
		s.clock.set(a)
	}
	for _, f := range fx.Fetches {
		s.fetcher.add(f)
	}
	if fx.Hurry {
		if on != nil {
			on.hurry = true // at the end of its turn
		} else {
			s.cfg.Sched.Hurry()
		}
	}
	if fx.Hangup && caller != nil {
		caller.hangUp()
	}
	if len(fx.Fans)+len(fx.Resume)+fx.Waits > 0 {
		s.carryFans(fx, on, caller)
	}
	fx.Reset()
}

// discard drops the loop's effects.
func (l *loop) discard() {
	for i := range l.fx.Packets {
		l.fx.Packets[i].Body.Release()
	}
	for _, f := range l.fx.Fans {
		l.fans.push(f) // see dropFans
	}
	l.fx.Reset()
}

// carryPushes sends ALL_YOURS workers their jobs.
func (l *loop) carryPushes() {
	for len(l.pushes) > 0 {
		last := len(l.pushes) - 1
		c := l.pushes[last]
		l.pushes = l.pushes[:last]
		if c.closed {
			continue
		}
		l.server.cfg.Sched.Push(&c.Peer, l.now, &l.fx)
		if l.fx.Again {
			l.pushLater = append(l.pushLater, c)
			l.pacer.ask()
		}
		l.carry(c)
	}
}

// flushDirty writes the output of all dirty connections, and closes the doomed ones.
func (l *loop) flushDirty() {
	l.written = 0
	for begun := false; !begun || len(l.dirty) > 0 || len(l.doomed) > 0; begun = true {
		l.flushOutput()
		doomed := l.doomed
		l.doomed = nil
		for _, c := range doomed {
			if !c.closed {
				// It calls OnClose, which may make others dirty or doomed.
				if err := l.events.Close(c.gc); err != nil {
					l.server.log.Debug("closing", "peer", c.Addr, "error", err)
				}
			}
		}
	}
}

// flushOutput writes the output of all dirty connections. Those with much output share a budget per turn, so
// that little output of others goes out soon.
func (l *loop) flushOutput() {
	for i := 0; i < len(l.dirty); i++ {
		c := l.dirty[i]
		if c.out.size > assuredSize {
			l.heavy.push(c)
			continue
		}
		c.dirty = false
		if !c.blocked {
			c.flush()
		}
	}
	clear(l.dirty)
	l.dirty = l.dirty[:0]
	for !l.heavy.empty() && l.written < writeTurn {
		c := l.heavy.pop()
		c.dirty = false
		if !c.blocked {
			c.flush()
		}
	}
	if !l.heavy.empty() {
		l.pacer.ask()
	}
}

// flushAll tries to write everything that is buffered.
func (l *loop) flushAll() {
	for c := range l.conns {
		c.flush()
	}
}

// pending reports whether unwritten output is left.
func (l *loop) pending() bool {
	if !l.fans.empty() {
		return true
	}
	for c := range l.conns {
		if (!c.drained() || c.held != nil) && !c.doomed {
			return true
		}
	}
	return false
}
