package sched

import "time"

// Timer is a later call of Fire: for a worker's next job limit, for more wake-ups of a function, for the next
// delayed job of a shard. It may also be due at once, but on the goroutine of a worker. Whoever carries out
// Effects keeps the time and calls Fire. A set timer is only moved to an earlier moment or stopped, because
// Effects of several calls may be carried out in another order than the calls.
type Timer struct {
	Index int // for the timekeeper: the index in its heap plus one; 0 = not set

	peer    *Peer     // for the limits of this worker's jobs
	steers  bool      // with fn: the end of a setting
	recalls bool      // with peer: its recall, not its limits
	fn      *function // more wake-ups
	shard   *shard    // delayed jobs
}

// Peer returns the peer whose goroutine must call Fire; nil if any may.
func (t *Timer) Peer() *Peer { return t.peer }

// ByDate reports whether the timer follows the wall clock, which may be set; otherwise it follows the
// monotonic clock. The timekeeper must not compare moments of the two.
func (t *Timer) ByDate() bool { return t.shard != nil || t.steers }

// Fire does what the timer was set for. A timer that fires early, or for something that no longer exists, is
// harmless.
func (s *Sched) Fire(t *Timer, now time.Time, fx *Effects) {
	switch {
	case t.recalls:
		s.carryOutRecall(t.peer, now, fx)
	case t.steers:
		s.endSettings(t.fn, now, fx)
	case t.peer != nil:
		s.expire(t.peer, now, fx)
	case t.fn != nil:
		s.wakeMore(t.fn, now, fx)
	case t.shard != nil:
		s.release(t.shard, now, fx)
	}
}
