package sched

import (
	"errors"
	"time"
)

// Setting is a switch that an operator has set on a function. It does not change once it is set.
type Setting struct {
	By     string // who did; what is longer than 256 bytes is cut
	Reason string // why; what is longer than 1000 bytes is cut
	Since  time.Time
	Until  time.Time // when it ends by itself; zero: when somebody ends it
}

// Errors of PauseFunction and CloseFunction.
var (
	errSettings = errors.New("too many functions are paused or closed, or there is no memory left")
	ErrPast     = errors.New("the setting ends before it begins")
)

// steering is what operators have set on a function, one thing at least. It is under the shard's lock.
type steering struct {
	paused, closed *Setting
	timer          Timer // the first Until
}

// FunctionSettings is what operators have set on a function; nil is nothing.
type FunctionSettings struct {
	Function       string
	Paused, Closed *Setting
}

// isPaused reports whether no job is to be handed out. The shard is locked.
func (fn *function) isPaused() bool { return fn.steer != nil && fn.steer.paused != nil }

// isClosed reports whether no submission is to be taken in. The shard is locked.
func (fn *function) isClosed() bool { return fn.steer != nil && fn.steer.closed != nil }

// PauseFunction has no job of a function handed out until it is resumed. Submissions go on, and jobs that workers have.
// The function is known from then on. A second call replaces the first one's setting, all of it.
func (s *Sched) PauseFunction(name string, set Setting, now time.Time, fx *Effects) error {
	return s.steer(name, set, now, fx, func(fn *function, set *Setting) {
		fn.steer.paused = set
		fn.ready.Store(0) // workers that ask or go to sleep pass it over
	})
}

// CloseFunction has no submission to a function taken in until it is opened: they are answered as if its queue were
// full, those that would join a job, too. Jobs that are there go on, and those that are delayed or put back.
func (s *Sched) CloseFunction(name string, set Setting, now time.Time, fx *Effects) error {
	return s.steer(name, set, now, fx, func(fn *function, set *Setting) { fn.steer.closed = set })
}

// steer sets something on a function.
func (s *Sched) steer(name string, set Setting, now time.Time, fx *Effects, how func(*function, *Setting)) error {
	if !set.Until.IsZero() && !set.Until.After(now) {
		return ErrPast
	}
	set.By, set.Reason = set.By[:min(len(set.By), maxSettingBy)], set.Reason[:min(len(set.Reason), maxSettingReason)]
	sh := s.shardOf([]byte(name))
	sh.lock()
	defer sh.mu.Unlock()
	fn := sh.needFunction([]byte(name), forWorkers)
	if fn == nil {
		return errSettings
	}
	if fn.steer == nil {
		if s.steered.Add(1) > maxSteered {
			s.steered.Add(-1)
			fn.dropIfIdle()
			return errSettings
		}
		fn.steer = &steering{timer: Timer{fn: fn, steers: true}}
	}
	how(fn, &set)
	if !set.Until.IsZero() {
		fx.arm(&fn.steer.timer, set.Until)
	}
	return nil
}

// ResumeFunction has jobs of a function handed out again, and wakes as many workers as submissions of the jobs that
// wait would have. changed: it was paused.
func (s *Sched) ResumeFunction(name string, now time.Time, fx *Effects) (changed bool) {
	return s.unsteer(name, func(fn *function) bool {
		return fn.resume(now, fx)
	}, fx)
}

// OpenFunction has submissions to a function taken in again. changed: it was closed.
func (s *Sched) OpenFunction(name string, fx *Effects) (changed bool) {
	return s.unsteer(name, (*function).open, fx)
}

// unsteer ends something that is set on a function.
func (s *Sched) unsteer(name string, how func(*function) bool, fx *Effects) (changed bool) {
	sh := s.shardOf([]byte(name))
	sh.lock()
	defer sh.mu.Unlock()
	fn := sh.function([]byte(name))
	if fn == nil || fn.steer == nil {
		return false
	}
	changed = how(fn)
	fn.dropSteering(fx)
	return changed
}

// resume ends a pause. The shard is locked.
func (fn *function) resume(now time.Time, fx *Effects) bool {
	if !fn.isPaused() {
		return false
	}
	fn.steer.paused = nil
	fn.setReady() // before sleepers are looked for, as a submission does it
	if !fn.isReady() {
		return true
	}
	limit := fn.shard.sched.cfg.Wakeup
	if limit > 0 {
		limit *= fn.queued()
	}
	fn.wake(limit, now, fx)
	return true
}

// open ends that a function is closed. The shard is locked.
func (fn *function) open() bool {
	was := fn.isClosed()
	fn.steer.closed = nil
	return was
}

// dropSteering lets go of what is set on a function when that is nothing any more, and of the function if that was all
// that kept it. The shard is locked.
func (fn *function) dropSteering(fx *Effects) {
	if fn.steer.paused != nil || fn.steer.closed != nil {
		return
	}
	fx.arm(&fn.steer.timer, time.Time{})
	fn.steer = nil
	fn.shard.sched.steered.Add(-1)
	fn.dropIfIdle()
}

// endSettings ends what is set on a function until now, and sets the timer for the rest.
func (s *Sched) endSettings(fn *function, now time.Time, fx *Effects) {
	fn.shard.lock()
	defer fn.shard.mu.Unlock()
	st := fn.steer
	if st == nil {
		return
	}
	if st.paused.over(now) {
		fn.resume(now, fx)
	}
	if st.closed.over(now) {
		fn.open()
	}
	for _, set := range []*Setting{st.paused, st.closed} {
		if set != nil && !set.Until.IsZero() {
			fx.arm(&st.timer, set.Until)
		}
	}
	fn.dropSteering(fx)
}

// over reports whether the setting, which may be nil, has come to its end.
func (set *Setting) over(now time.Time) bool {
	return set != nil && !set.Until.IsZero() && !set.Until.After(now)
}

// Settings returns what operators have set on functions, in no particular order.
func (s *Sched) Settings() (all []FunctionSettings) {
	if s.steered.Load() == 0 {
		return nil
	}
	s.eachShard(func(sh *shard) {
		for name, fn := range sh.functions {
			if st := fn.steer; st != nil {
				all = append(all, FunctionSettings{name, st.paused, st.closed})
			}
		}
	})
	return all
}

// reason returns a setting as a reason. The shard is locked.
func (set *Setting) reason(c Cause) Reason {
	return Reason{Cause: c, Since: set.Since, Until: set.Until, By: set.By, Text: set.Reason}
}
