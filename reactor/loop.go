package reactor

import (
	"context"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"

	"gearloop/sched"
)

// keptMailBytes and keptMailMessages are how large a mailbox's memory may stay when it is empty, in bytes and messages.
const (
	retainedMailBytes    = 1 << 20
	retainedMailMessages = 16 << 10
)

// Where a loop is, for those who post mail.
const (
	inGnet int32 = iota // it is told by a call of Run
	awake               // it looks at its mail before it sleeps
	asleep              // it is told by a byte through its pacer
)

// loop is what belongs to one of gnet's event loops. Only that loop's goroutine touches it, but for
// the mailbox.
type loop struct {
	server *Server
	events gnet.EventLoop
	mail   mailbox
	now    time.Time // of this turn
	fx     sched.Effects
	conns  map[*conn]struct{}

	dirty     []*conn          // have output to be written
	heavy     fifo[*conn]      // of these, those that have much and wait for a turn with room for it
	written   int              // bytes in this turn
	fans      fifo[*sched.Fan] // that have something to send
	doomed    []*conn          // are to be closed
	pushes    []*conn          // ALL_YOURS workers that are due a job
	pushLater []*conn          // those for whom it is looked on in the next turn
	woken     bool             // Run is coming, at the end of the batch of events
	calls     int              // of OnTraffic, since Run was asked for
	alone     int              // for how many calls to write at once, see end
	mailed    []message        // taken from the mailbox; those before mailedAt are done
	mailedAt  int
	mailArgs  []byte

	items   int         // what the connection whose turn it is has cost in this turn: packets, lines, sched.Effects.Work
	poller  int         // gnet's, see pollerOf
	backlog fifo[*conn] // whose input waits for their turn
	pacer   *pacer
	tabling []*conn // whose next output is a table, in the order in which they get their slice
	told    int     // what steps of tables have cost in this turn

	stats     LoopStats // what is not a count of moments is filled in when it is published
	published atomic.Pointer[LoopStats]
	turnAt    time.Time // when the turn has begun; zero between turns

	buffered atomic.Int64 // memory that the output of all connections takes, in bytes

	slow    stalls       // connections with more than assuredSize of output
	idlers  stalls       // those with more than idleSize
	uploads stalls       // those in the middle of a packet
	crowd   fifo[*conn]  // those that wait for room
	waiting atomic.Int32 // how many these are
	unheard unheard

	state atomic.Int32 // inGnet, awake or asleep
	standing

	vectors [maxVectors][]byte
	buffer  [readSize]byte
	plain   []byte // what TLS decrypts to; made by plainBuffer
}

func newLoop(s *Server, events gnet.EventLoop) *loop {
	l := &loop{server: s, events: events, conns: map[*conn]struct{}{}, poller: pollerOf(events)}
	l.mail.loop = l
	l.standing.init(events)
	return l
}

// Run is what the loop does when it was woken: it empties the mailbox and writes what is to be
// written. gnet calls it after all events that were ready at the same time.
func (l *loop) Run(context.Context) error {
	if l.woken && l.calls == 1 {
		l.alone = aloneCalls
	}
	l.woken = false
	l.told = 0
	defer func() {
		if l.server.caught(recover()) {
			l.fx.Reset()
			l.wakeSelf() // for the rest of the mail
		}
	}()
	l.begin()
	l.flushDirty()
	l.endTurn()
	l.stay()
	return nil
}

// wake has gnet call Run, from any goroutine.
func (l *loop) wake() {
	if err := l.events.Execute(context.Background(), l); err != nil {
		l.server.log.Debug("event loop has ended", "error", err)
	}
}

// wakeSelf sees to it that Run is called, once for all that happens in between.
func (l *loop) wakeSelf() {
	if !l.woken {
		l.woken = true
		l.calls = 1
		l.wake()
	}
}

// begin starts a call from gnet: it takes the time, and handles the mail before anything that comes
// in now, so that causes stay before their effects.
func (l *loop) begin() {
	l.now = l.server.clock.read()
	l.startTurn()
	l.handleMail() // what a fault left over
	if l.mail.full.Load() {
		// Once is enough: what is posted from now on has no effect that can be seen yet.
		l.mailed, l.mailArgs = l.mail.swap(recycle(l.mailed, retainedMailMessages), recycle(l.mailArgs, retainedMailBytes))
		l.mailedAt = 0
		l.stats.MailBatches++
		l.stats.MailItems += uint64(len(l.mailed))
		l.handleMail()
	}
}

// handleMail handles the messages that were taken from the mailbox.
func (l *loop) handleMail() {
	for l.mailedAt < len(l.mailed) {
		m := &l.mailed[l.mailedAt]
		l.mailedAt++
		l.handle(m)
	}
}

// recycle empties a slice to be used again, or lets go of it when it has become large.
func recycle[T any](s []T, retained int) []T {
	if cap(s) > retained {
		return nil
	}
	clear(s)
	return s[:0]
}

// end closes a call from gnet: what there is to write is written once all connections that are
// ready had their turn, so that each is written to once. gnet does not tell how many are ready, and
// to be called after them costs two system calls; so when that was seen to be for one connection
// alone, the next few calls write at once.
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

// handle does what a message asks for.
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

// do runs a function on the loop, from another goroutine.
func (l *loop) do(task func()) { l.mail.post(message{kind: taskMessage, task: task}) }

// touch remembers that a connection has something to write.
func (l *loop) touch(c *conn) {
	if !c.dirty {
		c.dirty = true
		l.dirty = append(l.dirty, c)
	}
}

// doom has a connection closed at the end of the turn. Nothing more of its input is handled.
func (l *loop) doom(c *conn) {
	c.deaf = true
	l.sever(c)
}

// sever has a connection closed at the end of the turn whose peer takes no more output. What it had sent is handled.
func (l *loop) sever(c *conn) {
	if !c.doomed && !c.closed {
		c.doomed = true
		l.doomed = append(l.doomed, c)
	}
}

// carry does what the scheduler wants done. caller is who sent the packet that was handled, nil if
// there is none.
func (l *loop) carry(caller *conn) {
	l.server.carry(&l.fx, l, caller)
	l.carryPushes()
}

// carry does what the scheduler wants done, and empties fx. on is the loop that this is called on, nil for any other
// goroutine: its own connections are sent to directly, all others through the mailboxes of their loops. caller is who
// sent the packet that was handled, nil if there is none.
func (s *Server) carry(fx *sched.Effects, on *loop, caller *conn) {
	for i := range fx.Packets {
		p := &fx.Packets[i]
		if c := p.To.User.(*conn); c.loop == on && !p.Behind {
			c.send(p.Type, p.Ticket, fx.Args(p), p.Body)
		} else {
			c.loop.mail.postPacket(c, p, fx.Args(p))
		}
	}
	for _, a := range fx.Timers {
		s.clock.set(a)
	}
	for _, f := range fx.Fetches {
		s.fetcher.add(f)
	}
	if fx.Hangup && caller != nil {
		caller.hangUp()
	}
	if len(fx.Fans)+len(fx.Resume)+fx.Waits > 0 {
		s.carryFans(fx, on, caller)
	}
	fx.Reset()
}

// discard forgets what the scheduler wants done.
func (l *loop) discard() {
	for i := range l.fx.Packets {
		l.fx.Packets[i].Body.Release()
	}
	for _, f := range l.fx.Fans {
		l.fans.push(f) // see dropFans
	}
	l.fx.Reset()
}

// carryPushes gives ALL_YOURS workers their jobs.
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

// flushDirty writes the output of all connections that have some, and closes those that are to be
// closed.
func (l *loop) flushDirty() {
	l.written = 0
	for begun := false; !begun || len(l.dirty) > 0 || len(l.doomed) > 0; begun = true {
		l.flushOutput()
		doomed := l.doomed
		l.doomed = nil
		for _, c := range doomed {
			if !c.closed {
				// Calls OnClose, which may make others dirty or doomed.
				if err := l.events.Close(c.gc); err != nil {
					l.server.log.Debug("closing", "peer", c.Addr, "error", err)
				}
			}
		}
	}
}

// flushOutput writes the output of all connections that have some. Those that have much wait for each other: each turn
// some of them are written to, so that the others' little output goes out soon.
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

// pending reports whether there is output that is not written.
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

// caught logs what a handler's panic was; true if there was one. A fault of ours that one packet
// brings out should not end everybody's connections.
func (s *Server) caught(panicked any) bool {
	if panicked == nil {
		return false
	}
	s.counters.Panics.Add(1)
	s.log.Error("internal fault", "panic", panicked, "stack", string(debug.Stack()))
	return true
}
