package sched

import (
	"errors"
	"time"
)

// Setting is a switch that an operator has set on a function. It is immutable.
type Setting struct {
	By     string // who set it; cut after 256 bytes
	Reason string // why; cut after 1000 bytes
	Since  time.Time
	Until  time.Time // when it ends by itself; zero: only when somebody ends it
}

// Errors of PauseFunction and CloseFunction.
var (
	errSettings = errors.New("too many functions are paused or closed, or there is no memory left")
	ErrPast     = errors.New("the setting ends before it begins")
)

// steering holds the settings of a function, at least one. The shard's lock guards it.
type steering struct {
	paused, closed *Setting
	timer          Timer // set to the first Until
}

// FunctionSettings are the settings of a function; nil means not set.
type FunctionSettings struct {
	Function       string
	Paused, Closed *Setting
}

// isPaused reports whether no job may be handed out. The shard is locked.
func (fn *function) isPaused() bool { return fn.steer != nil && fn.steer.paused != nil }

// isClosed reports whether no submission may be accepted. The shard is locked.
func (fn *function) isClosed() bool { return fn.steer != nil && fn.steer.closed != nil }

// PauseFunction stops handing out jobs of a function until it is resumed. Submissions and running jobs go on.
// The function is known from then on. A second call replaces the first setting completely.
func (s *Sched) PauseFunction(name string, set Setting, now time.Time, fx *Effects) error {
	return s.steer(name, set, now, fx, func(fn *function, set *Setting) {
		if fn.steer.paused == nil {
			fn.holdBack(fn.queued())
		}
		fn.steer.paused = set
		fn.ready.Store(0) // workers that ask or go to sleep skip it
	})
}

// CloseFunction refuses submissions to a function until it is opened: they are answered as if its queue were
// full, including those that would join a job. Existing jobs go on, including delayed ones and those that are
// put back.
func (s *Sched) CloseFunction(name string, set Setting, now time.Time, fx *Effects) error {
	return s.steer(name, set, now, fx, func(fn *function, set *Setting) { fn.steer.closed = set })
}

// steer changes the settings of a function.
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

// ResumeFunction hands out jobs of a function again, and wakes as many workers as submissions of the waiting
// jobs would have. changed is false if it was not paused.
func (s *Sched) ResumeFunction(name string, now time.Time, fx *Effects) (changed bool) {
	return s.unsteer(name, func(fn *function) bool {
		return fn.resume(now, fx)
	}, fx)
}

// OpenFunction accepts submissions to a function again. changed is false if it was not closed.
func (s *Sched) OpenFunction(name string, fx *Effects) (changed bool) {
	return s.unsteer(name, (*function).open, fx)
}

// unsteer ends a setting of a function.
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
	fn.setReady() // before looking for sleepers, as a submission does
	if !fn.isReady() {
		return true
	}
	if fn.isHerd() {
		fn.call(0, now, fx)
		return true
	}
	limit := fn.shard.sched.cfg.Wakeup
	if limit > 0 {
		limit *= fn.queued()
	}
	fn.wake(limit, now, fx)
	return true
}

// open ends a closure. The shard is locked.
func (fn *function) open() bool {
	was := fn.isClosed()
	fn.steer.closed = nil
	return was
}

// dropSteering removes the settings of a function if none is left, and the function if nothing else keeps it.
// The shard is locked.
func (fn *function) dropSteering(fx *Effects) {
	if fn.steer.paused != nil || fn.steer.closed != nil {
		return
	}
	fx.arm(&fn.steer.timer, time.Time{})
	fn.steer = nil
	fn.shard.sched.steered.Add(-1)
	fn.dropIfIdle()
}

// endSettings ends the settings that have expired, and sets the timer for the others.
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

// over reports whether the setting, which may be nil, has expired.
func (set *Setting) over(now time.Time) bool {
	return set != nil && !set.Until.IsZero() && !set.Until.After(now)
}

// Settings returns the settings of all functions, in no particular order. It goes through the functions in
// steps, as a FunctionScan does.
func (s *Sched) Settings() (all []FunctionSettings) {
	if s.steered.Load() == 0 {
		return nil
	}
	scan := s.ScanFunctions()
	for more := true; more; {
		more = scan.step(func(fn *function) {
			if st := fn.steer; st != nil {
				all = append(all, FunctionSettings{fn.name, st.paused, st.closed})
			}
		})
	}
	return all
}

// reason converts a setting to a reason. The shard is locked.
func (set *Setting) reason(c Cause) Reason {
	return Reason{Cause: c, Since: set.Since, Until: set.Until, By: set.By, Text: set.Reason}
}
