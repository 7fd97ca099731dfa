package reactor

import (
	"slices"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Packets from loop to loop cost wake-ups, and fewer packets share a system call when connections are spread
// over loops. So a loop that need not run (layout_linux.go) lodges with another one, its host. The host's epoll
// descriptor watches that of its guest, or the guest's sockets (bring_linux.go), and the host's goroutine does the
// guest's turns with its own: it reads what is ready on all of them, then each handles its mail, then each writes. The
// guest's goroutine waits until it is sent home. So a loop is always used by one goroutine: its own, its host's, or one
// that stands in for that.
//
// gnet must not wait for events while a loop has guests: it would stop watching the guests' descriptors, which
// it does not know.

// lodging is what a loop needs to lodge, or to have guests.
type lodging struct {
	host    atomic.Pointer[loop]    // with whom it lodges, while its state is lodged
	guests  atomic.Pointer[[]*loop] // who lodges with it; replaced, never changed
	home    chan struct{}           // receives when its host sends it home
	stirred bool                    // it or a housemate has left something to finish in this turn

	brings   bool // it lodges, and has brought its sockets (bring_linux.go)
	homesick bool // it must go home, and come again
	brought  int  // connections that its guests have brought
}

func (w *lodging) init() { w.home = make(chan struct{}, 1) }

// lodgers returns the loop's guests.
func (l *loop) lodgers() []*loop {
	if all := l.guests.Load(); all != nil {
		return *all
	}
	return nil
}

// lodge makes the loop lodge with another if it should, until it is sent home. It is called between two turns,
// and returns false when gnet has something to do.
func (l *loop) lodge() bool {
	y := &l.server.layout
	h := y.hostOf(l)
	if h == nil || len(l.lodgers()) > 0 || l.population.Load() > lodgerConns {
		return true
	}
	y.lodgers.Add(1)
	defer y.lodgers.Add(-1)
	if y.hostOf(l) != h {
		return true // the server may be about to end
	}
	l.closeDoors() // its host watches the same listeners
	for _, d := range slices.Clone(l.doors) {
		l.acceptFrom(d) // it may be the only loop that was woken for a connection
	}
	l.host.Store(h)
	l.state.Store(lodged)
	h.do(func() { h.welcome(l) })
	<-l.home
	if l.owes() { // something failed in the middle of its turn, or its host has refused it
		l.pacer.ask()
	}
	l.stirred = false
	l.openDoors()
	return !l.tasked
}

// welcome makes another loop, which waits for it, a guest. A loop that lodges itself, or that has returned to gnet,
// refuses: it would not do the guest's turns.
func (l *loop) welcome(g *loop) {
	if y := &l.server.layout; !l.staying || y.hostOf(g) != l || y.hostOf(l) != nil {
		l.sendHome(g)
		return
	}
	if !l.bring(g) {
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(g.poller)}
		if err := unix.EpollCtl(l.poller, unix.EPOLL_CTL_ADD, g.poller, &event); err != nil {
			l.server.log.Warn("an event loop cannot watch another one: all run by themselves", "error", err)
			l.server.layout.set(0)
			l.sendHome(g)
			return
		}
	}
	g.stirred = true
	all := append(slices.Clone(l.lodgers()), g)
	l.guests.Store(&all)
}

// sendHome ends a loop's stay with this one, or refuses it.
func (l *loop) sendHome(g *loop) {
	if i := slices.Index(l.lodgers(), g); i >= 0 {
		all := slices.Delete(slices.Clone(l.lodgers()), i, i+1)
		l.guests.Store(&all)
		if g.brings {
			l.takeBack(g)
		} else if err := unix.EpollCtl(l.poller, unix.EPOLL_CTL_DEL, g.poller, nil); err != nil {
			l.server.log.Debug("an event loop still watches another one", "error", err)
		}
	}
	g.homesick = false
	g.host.Store(nil)
	g.state.Store(awake) // it looks at its mail before it sleeps
	g.home <- struct{}{}
}

// sendGuestsHome sends all guests home.
func (l *loop) sendGuestsHome() {
	for _, g := range l.lodgers() {
		l.sendHome(g)
	}
}

// reaches reports whether the loop may put a packet into the output of another one's connection: the goroutine that
// uses it uses the other one too, and no mail waits there that has to come before. l may be nil.
func (l *loop) reaches(other *loop) bool {
	if l == nil {
		return false
	}
	home, theirs := l.host.Load(), other.host.Load()
	if home == nil {
		home = l
	}
	if theirs == nil {
		theirs = other
	}
	if home != theirs || other.mail.full.Load() || other.mailedAt < len(other.mailed) {
		return false
	}
	other.stirred = true
	if other.turnAt.IsZero() {
		other.now = l.now
		other.startTurn()
	}
	return true
}

// guestAt returns the guest with an epoll descriptor, or nil.
func (l *loop) guestAt(poller int) *loop {
	for _, g := range l.lodgers() {
		if g.poller == poller {
			return g
		}
	}
	return nil
}

// serveGuest serves sockets of a guest. What the guest handles is part of this loop's turn.
func (l *loop) serveGuest(g *loop, serve func()) {
	g.stirred = true
	g.handled, g.losses, g.crowdedAt = l.handled, max(l.losses, g.losses), l.crowdedAt
	defer func() {
		l.handled, l.losses = g.handled, max(l.losses, g.losses)
		l.ended, g.ended = l.ended+g.ended, 0
		if l.server.caught(recover()) {
			g.fx.Reset()
			g.remindGnet() // it may have been among the events
		}
	}()
	serve()
}

// finishHouse ends the turn of the loop and of its guests, and sends home who must go. Nobody writes before all have
// worked: they leave packets in each other's output.
func (l *loop) finishHouse(due bool) {
	for _, g := range l.lodgers() {
		if g.stirred || g.owes() || g.mail.full.Load() {
			g.stirred, g.crowdedAt = true, l.crowdedAt
			g.asGuest(func() { g.workLate(g.pacer.due) })
		}
	}
	l.workLate(due)
	for _, g := range l.lodgers() {
		l.hurry, g.hurry = l.hurry || g.hurry, false
	}
	l.hurryStore()
	for _, g := range l.lodgers() {
		if g.stirred {
			g.asGuest(g.finish)
			if g.full = false; g.leaving.empty() {
				g.losses = 0
			}
		}
		if g.tasked || g.homesick || l.server.layout.hostOf(g) != l {
			l.sendHome(g)
		}
	}
	l.finish()
}

// asGuest does a part of a guest's turn. The guest's faults are not its host's.
func (l *loop) asGuest(part func()) {
	defer func() {
		if l.server.caught(recover()) {
			l.fx.Reset()
			l.stirred = true // for the rest of the turn
		}
	}()
	part()
}

// owes reports whether the loop has work left that neither its poller nor its mailbox announces: a slice, output of a
// turn that failed or did not end, connections to close, mail that it has posted and nobody was woken for, the way
// home.
func (l *loop) owes() bool {
	return l.pacer.due || l.stirred || len(l.dirty) > 0 || len(l.doomed) > 0 || len(l.posted) > 0 || l.homesick
}

// house returns how many loops share the loop's goroutine.
func (l *loop) house() int {
	if host := l.host.Load(); host != nil {
		l = host
	}
	return 1 + len(l.lodgers())
}

// guestsOwe is owes for the guests.
func (l *loop) guestsOwe() bool {
	for _, g := range l.lodgers() {
		if g.owes() {
			return true
		}
	}
	return false
}

// guestsLookAgain is lookAgain for the guests.
func (l *loop) guestsLookAgain() bool {
	for _, g := range l.lodgers() {
		if g.lookAgain() {
			return true
		}
	}
	return false
}

// isWanted reports whether the loop or one of its guests has mail, or a guest must go home. It must be asked after the
// loop has said that it sleeps: whoever has posted mail, or changed the layout, before that has woken nobody. Any
// goroutine may call it.
func (l *loop) isWanted() bool {
	if l.mail.full.Load() {
		return true
	}
	for _, g := range l.lodgers() {
		if g.mail.full.Load() || l.server.layout.hostOf(g) != l {
			return true
		}
	}
	return false
}
