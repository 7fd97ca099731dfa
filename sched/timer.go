package sched

import "time"

// Timer is a call of Fire that is due later: for a worker's next job limit, for more wake-ups of a function, for
// the next delayed job of a shard. Or it is due at once, but on the goroutine of a worker. Whoever carries out
// Effects keeps the time and calls Fire. A timer that is set is only moved to an earlier moment, or stopped,
// because Effects of several calls may be carried out in another order than that of the calls.
type Timer struct {
	Index int // for the keeper of the time: where it stands in its heap, plus one; 0 = not set

	peer    *Peer     // the limit of this worker's jobs
	steers  bool      // of the function it is the end of a setting
	recalls bool      // of the peer it is not the limit but its recall
	fn      *function // more wake-ups
	shard   *shard    // delayed jobs
}

// Peer returns the peer whose goroutine has to call Fire, nil when any may.
func (t *Timer) Peer() *Peer { return t.peer }

// ByDate reports whether the timer is set by the wall clock, which may be set forward and back; else it is by the
// monotonic clock. The keeper must not compare the moments of the one with those of the other.
func (t *Timer) ByDate() bool { return t.shard != nil || t.steers }

// Fire does what the timer was set for. A timer that fires too early or for something that has
// meanwhile gone does no harm.
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
