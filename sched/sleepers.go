package sched

import (
	"time"

	"gearloop/codec"
)

// sleeperList is the workers to wake for a function, the most recently active first. Some may be awake
// already, woken through another function.
type sleeperList struct {
	head, tail *ability
	n          int
}

func (l *sleeperList) pushFront(a *ability) {
	l.count(a.fn, 1)
	if a.next = l.head; l.head != nil {
		l.head.prev = a
	} else {
		l.tail = a
	}
	l.head = a
	a.listed.Store(true)
}

func (l *sleeperList) pushBack(a *ability) {
	l.count(a.fn, 1)
	if a.prev = l.tail; l.tail != nil {
		l.tail.next = a
	} else {
		l.head = a
	}
	l.tail = a
	a.listed.Store(true)
}

// count counts an entry of a function that is added or removed.
func (l *sleeperList) count(fn *function, n int) {
	l.n += n
	if herd := fn.shard.sched.cfg.Herd; herd > 0 && (l.n > herd) != fn.herd.Load() {
		fn.herd.Store(l.n > herd)
	}
}

func (l *sleeperList) remove(a *ability) {
	l.count(a.fn, -1)
	if a.prev != nil {
		a.prev.next = a.next
	} else {
		l.head = a.next
	}
	if a.next != nil {
		a.next.prev = a.prev
	} else {
		l.tail = a.prev
	}
	a.prev, a.next = nil, nil
	a.listed.Store(false)
}

// wakeSome wakes up to limit sleepers, all if limit is negative. more says that others may be asleep, stopped
// that the bound on entries removed by one call was reached. The shard is locked.
func (fn *function) wakeSome(limit int, called bool, at moment, fx *Effects) (more, stopped bool) {
	removed := 0
	for a := fn.sleepers.head; a != nil; a = fn.sleepers.head {
		if limit == 0 && (called || a.peer.state.Load() == sleeping) {
			return true, false
		}
		if removed++; removed > callSleepers {
			return true, true
		}
		// The entry is removed before the worker is woken: one that is just going to sleep sees either that it is
		// not listed, or its wake-up. The entry of a worker that is awake is removed as well; its next sleep adds
		// it again.
		fn.sleepers.remove(a)
		fn.shard.step()
		if a.peer.wake(at) {
			fx.send(a.peer, codec.Noop)
			if called {
				fn.expect(a.peer)
			}
			if limit > 0 {
				limit--
			}
		}
	}
	return false, false
}

// wakeSleepers wakes the sleepers for one submission, and arranges for more to be woken later while jobs
// wait. The shard is locked.
func (fn *function) wakeSleepers(now time.Time, fx *Effects) {
	switch {
	case fn.sleepers.head == nil:
	case fn.isPaused():
	case fn.isHerd():
		fn.call(0, now, fx)
	default:
		fn.wake(fn.shard.sched.cfg.Wakeup, now, fx)
	}
}

// wake wakes up to limit sleepers, all if limit is negative, and arranges for more to be woken later while
// jobs wait. The shard is locked.
func (fn *function) wake(limit int, now time.Time, fx *Effects) {
	fn.wakeAnd(limit, false, now, fx)
}

// wakeAnd is wake. called says that each is woken for a job, and that the function waits for it to come.
func (fn *function) wakeAnd(limit int, called bool, now time.Time, fx *Effects) {
	before := len(fx.Packets)
	switch more, stopped := fn.wakeSome(limit, called, fn.shard.sched.moment(now), fx); {
	case stopped:
		fn.owed = limit - (len(fx.Packets) - before) // each packet is a NOOP
		fx.Work += callSleepers / workPackets
		fn.wakeArmed = true
		fx.arm(&fn.wakeTimer, now)
	case more:
		fn.armWake(now, fx)
	}
}

// armWake sets the timer for more wake-ups, if they are limited and repeated. The shard is locked.
func (fn *function) armWake(now time.Time, fx *Effects) {
	cfg := &fn.shard.sched.cfg
	if fn.wakeArmed || cfg.Wakeup <= 0 && cfg.Herd == 0 || cfg.WakeupDelay < 0 {
		return
	}
	fn.wakeArmed = true
	fx.arm(&fn.wakeTimer, now.Add(cfg.WakeupDelay))
}

// wakeMore is called when a function's wake timer fires.
func (s *Sched) wakeMore(fn *function, now time.Time, fx *Effects) {
	fn.shard.lock()
	defer fn.shard.mu.Unlock()
	fn.wakeArmed = false
	owed, surplus := fn.owed, 0
	fn.owed = 0
	if owed == 0 {
		surplus = fn.giveUp()
	}
	switch {
	case !fn.isReady():
	case fn.isHerd():
		fn.call(surplus, now, fx)
	case s.cfg.Wakeup < 0:
		fn.wake(s.cfg.Wakeup, now, fx)
	default:
		fn.wake(max(s.cfg.Wakeup, owed), now, fx)
	}
}
