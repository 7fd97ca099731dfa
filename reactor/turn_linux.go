package reactor

import (
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"

	"gearloop/internal/slim"
)

// gnet polls for events without waiting first, and if there are none it yields to other goroutines
// (runtime.Gosched) before it waits. With a processor to spare, which acceptors and timers need, each yield
// wakes a thread that finds nothing to do: 10 to 40 % more CPU per job. And a call after all events of a
// batch costs two system calls. So a loop that gnet has called returns to it only when gnet has something to
// do: to end, as the loop has gnet register its connections (register_linux.go). Until then it waits on gnet's epoll descriptor and reads its
// sockets by itself. All events except gnet's own wake-up are level-triggered, so gnet finds what is left to
// it.

// standing is what a loop needs to wait by itself.
type standing struct {
	chores  int                         // the descriptor with which gnet wakes itself
	ready   [lookEvents]unix.EpollEvent // the events of this look
	asked   int                         // how many events a look asks for
	byFD    map[int32]*conn             // all connections of the loop
	mostFDs slim.Peak                   // of byFD
	yielded time.Time                   // when it last yielded to other goroutines
	away    sync.Mutex                  // held while another loop stands in, and to end that
	full    bool                        // a look has returned as many events as it asked for

	tasked  bool            // gnet has something to do
	staying bool            // between gnet's calls of the loop: it waits by itself
	doors   []*loopListener // listeners that it watches
	burst   int             // how many connections it accepts next
	// population is the number of its connections and of those that it is about to register.
	population atomic.Int64
	leavings   // last: few turns use it, and what every turn uses should lie together
}

func (w *standing) init(events gnet.EventLoop) {
	w.chores, w.byFD = choresOf(events), map[int32]*conn{}
	w.burst, w.asked = 1, lookEvents
}

// hasOpened and hasClosed keep account of the connections.
func (l *loop) hasOpened(c *conn) {
	l.byFD[int32(c.FD)] = c
	l.bringOne(c)
}

func (l *loop) hasClosed(c *conn) {
	delete(l.byFD, int32(c.FD))
	l.byFD = slim.Map(l.byFD, &l.mostFDs)
	l.takeBackOne(c)
	l.population.Add(-1)
}

// canStay reports whether the loop can wait by itself.
func (l *loop) canStay() bool { return l.poller >= 0 && l.chores >= 0 && l.pacer != nil }

// stay keeps the loop running by itself until gnet has something to do. It is called at the end of a turn.
func (l *loop) stay() {
	if !l.canStay() || l.server.entrants.Load() != 0 {
		return
	}
	l.state.Store(awake)
	l.openDoors()
	defer func() {
		l.sendGuestsHome()
		l.woken = false
		l.closeDoors()
		l.state.Store(inGnet)
		l.pacer.pass()
		if l.mail.full.Load() {
			l.wake() // posted while it seemed to be awake
		}
	}()
	for l.turn() && l.server.entrants.Load() == 0 {
		l.server.layout.look(l.now)
		if !l.lodge() {
			return
		}
	}
}

// turn waits for events, serves what is ready and writes the output. It returns false when gnet has something
// to do.
func (l *loop) turn() bool {
	now, due, timeout := l.now, l.pacer.due, -1
	guests := l.guestsOwe()
	if l.leaving.empty() {
		l.losses = 0
	}
	l.ask()
	l.state.Store(asleep)
	// From here on another loop may stand in.
	if due || guests || l.isWanted() {
		timeout = 0
	} else if l.server.entrants.Load() != 0 {
		l.rise()
		return false
	}
	if now.Sub(l.yielded) > yieldPause {
		// The runtime considers a goroutine that never yields as stuck: its monitor thread looks after it every 20 µs,
		// and takes its processor away at each system call.
		l.yielded = now
		runtime.Gosched()
	}
	var n int
	if timeout == 0 {
		n = l.pollNow()
	} else {
		n, _ = unix.EpollWait(l.poller, l.ready[:l.asked], timeout)
	}
	l.rise()
	l.woken = true // Run is not needed
	l.tasked, l.full = false, false
	if len(l.lodgers()) > 0 {
		l.begin() // its turn begins before those of its guests
	}
	l.serveReady(n)
	l.finishHouse(due)
	return !l.tasked
}

// workLate does what comes when all that was ready has been read; due: with a slice of longer work.
func (l *loop) workLate(due bool) {
	if due {
		l.pacer.turn()
	}
	l.begin()
	l.told = 0
	l.handleGrabs()
}

// finish writes the output and ends the turn.
func (l *loop) finish() {
	l.carryPushes() // which a housemate has left
	l.stirred = false
	l.flushDirty()
	l.endTurn()
}

// ask decides how many events the next look asks for.
func (l *loop) ask() {
	l.asked = lookEvents
	if !l.leaving.empty() || slices.ContainsFunc(l.lodgers(), func(g *loop) bool { return !g.leaving.empty() }) {
		l.asked = leavingEvents
	}
}

// pollNow returns how many events are there, up to l.asked. It does not wait, so Go's scheduler is not told of the call.
func (l *loop) pollNow() int {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.poller), uintptr(unsafe.Pointer(&l.ready)),
		uintptr(l.asked), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// serveReady serves the first n events, and then what has become ready meanwhile. The output of both goes out in
// the same writes.
func (l *loop) serveReady(n int) {
	if l.serveAll(n) > 1 || l.lookAgain() || l.guestsLookAgain() {
		l.ask()
		l.serveAll(l.pollNow())
	}
	if l.ended >= lossesLook {
		l.passCrowd()
	}
}

// serveAll serves the first n events, and returns how many they and those of its guests were.
func (l *loop) serveAll(n int) (events int) {
	events = n
	l.full = l.full || n == l.asked
	for i := range max(n, 0) {
		if ev := &l.ready[i]; ev.Pad == 0 {
			events += l.serveEvent(ev)
		} else {
			l.serveMarked(ev)
		}
	}
	return events
}

// serveEvent serves an event of the loop's own sockets, and returns how many more than this one there were.
func (l *loop) serveEvent(ev *unix.EpollEvent) (more int) {
	switch int(ev.Fd) {
	case l.pacer.theirs:
		l.pacer.drain()
	case l.chores:
		l.remindGnet()
		l.tasked = true
	default:
		if c := l.byFD[ev.Fd]; c != nil {
			l.tasked = !l.serve(c, ev.Events) || l.tasked
		} else if g := l.guestAt(int(ev.Fd)); g != nil {
			l.serveGuest(g, func() {
				g.ask()
				more = g.serveAll(g.pollNow()) - 1
			})
		} else {
			l.answerDoor(int(ev.Fd))
		}
	}
	return more
}

// remindGnet repeats gnet's wake-up, which is edge-triggered.
func (l *loop) remindGnet() { unix.Write(l.chores, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

// serve handles an event of a connection as gnet, Server.traffic and Server.closed do. It returns false when
// something is left for gnet.
func (l *loop) serve(c *conn, events uint32) bool {
	const input, broken = unix.EPOLLIN | unix.EPOLLPRI, unix.EPOLLERR | unix.EPOLLHUP
	if events&input == 0 {
		if events&broken != 0 {
			l.part(c, io.EOF)
		}
		return events&broken != 0
	}
	var n int
	var err error
	if c.readsPayload() {
		n, err = l.receivePayload(c)
	} else {
		n, err = l.receive(c)
	}
	switch {
	case n > 0:
	case err == unix.EAGAIN || err == unix.EINTR:
	case err != nil:
		l.part(c, os.NewSyscallError("read", err))
	default:
		l.part(c, os.NewSyscallError("read", io.EOF))
	}
	return true
}

// receive reads into the loop's buffer, and handles what comes. It returns the result of the first system call. Mail is
// handled before that, as it may read into the same buffer: a connection that is taken in may bring input.
func (l *loop) receive(c *conn) (n int, err error) {
	defer l.contain(c)
	l.begin()
	if n, err = readSocket(c.FD, l.buffer[:c.readMost()]); n > 0 {
		l.noteInput(c)
		c.receive(l.buffer[:n])
	}
	return n, err
}

// receivePayload reads into the payload of the packet that a connection is inside of, and handles what comes. It
// returns the result of the first system call.
func (l *loop) receivePayload(c *conn) (n int, err error) {
	defer l.contain(c)
	l.begin()
	if !c.readsPayload() { // not after the mail that was handled
		return -1, unix.EAGAIN
	}
	n, full, err := c.readSome(readTurn)
	if n > 0 {
		l.noteInput(c)
		l.stats.Reads++
		c.readPayload(n, full)
		l.end()
	}
	return n, err
}

// rise ends the loop's sleep. From then on no other loop may stand in for it; if one does now, rise waits.
func (l *loop) rise() {
	if l.state.CompareAndSwap(asleep, awake) {
		return
	}
	// Another loop stands in for it, or somebody has called it up.
	l.away.Lock()
	l.state.Store(awake)
	l.away.Unlock()
}

// deliver makes sure that the mail of this turn is handled. A loop that is awake checks its mailbox before it
// sleeps. The mail of a loop that sleeps is handled here: writing a few packets costs less than waking the loop.
func (l *loop) deliver() {
	for _, other := range l.posted {
		switch other.state.Load() {
		case inGnet:
			other.wake()
		case asleep:
			other.beStoodIn(other)
		case lodged:
			if host := other.host.Load(); host != l && host != l.host.Load() {
				other.beStoodInAway(host)
			} // else the end of this turn handles the mail
		}
	}
	clear(l.posted)
	l.posted = l.posted[:0]
}

// beStoodInAway is beStoodIn for a loop that lodges with host. host is nil if it has gone home meanwhile: then it
// looks at its mailbox before it sleeps.
func (l *loop) beStoodInAway(host *loop) {
	switch {
	case host == nil:
	case host.state.Load() == asleep:
		host.beStoodIn(l)
	default:
		host.rouse()
	}
}

// beStoodIn handles the mail of this loop or of a guest while it sleeps, on the goroutine of another loop. If it
// has more to do, as to close a connection or the next slice of a table, it is woken and does that by itself.
func (l *loop) beStoodIn(addressee *loop) {
	if !l.away.TryLock() {
		// It rises, or another loop stands in, and both look for mail afterwards. But the other loop may have
		// looked already, and still hold the lock.
		l.callUp()
		return
	}
	defer l.away.Unlock()
	if !l.state.CompareAndSwap(asleep, standIn) {
		return // it has risen
	}
	if addressee == l || slices.Contains(l.lodgers(), addressee) {
		addressee.mailTurn()
	}
	needed := l.owes() || l.guestsOwe()
	l.state.Store(asleep)
	if needed || l.isWanted() || l.server.entrants.Load() != 0 {
		l.callUp()
	}
}

// mailTurn is a turn that handles mail and writes output, and reads no socket.
func (l *loop) mailTurn() {
	defer func() {
		if l.server.caught(recover()) {
			l.fx.Reset()
		}
		l.countTurn()
	}()
	l.stats.StoodIn++
	l.begin()
	l.hurryStore()
	l.written = 0
	l.flushOutput()
}

// rouse makes the loop look at its mail. Any goroutine may call it.
func (l *loop) rouse() {
	switch l.state.Load() {
	case inGnet:
		l.wake()
	case asleep:
		l.callUp()
	case lodged:
		if host := l.host.Load(); host != nil {
			host.rouse()
		}
	}
}

// callUp wakes the loop if it sleeps.
func (l *loop) callUp() {
	if l.state.CompareAndSwap(asleep, awake) {
		l.pacer.socket.Write(wakeByte)
	}
}

// choresOf returns the descriptor with which gnet wakes itself, or -1.
func choresOf(events gnet.EventLoop) (fd int) { return pollerField(events, "efd") }
