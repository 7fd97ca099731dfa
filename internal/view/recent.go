package view

import (
	"sync"
	"time"
)

// Limits of what is remembered of single functions.
const (
	recentSteps = 60
	recentEvery = 5 // looks
	// recentMost is for how many functions it is remembered: those that were viewed recently.
	recentMost = 1000
	// recentFor is how long it is remembered after a view.
	recentFor = 10 * time.Minute
)

// recent is what viewed functions have done in the last minutes.
type recent struct {
	mu        sync.Mutex
	functions map[string]*recentFunction
}

// recentFunction is the number of a function's jobs that ended in each step.
type recentFunction struct {
	ended [recentSteps]uint32
	steps int // number of steps
	last  uint64
	shown time.Time
}

// show returns what a function has done, the oldest step first, and remembers it from now on. ended is how
// many of its jobs have ended since it is known.
func (r *recent) show(name string, ended uint64, now time.Time) (steps []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.functions[name]
	if f == nil {
		if r.functions == nil {
			r.functions = map[string]*recentFunction{}
		}
		if len(r.functions) >= recentMost {
			r.forget(now)
		}
		r.functions[name] = &recentFunction{last: ended, shown: now}
		return nil
	}
	f.shown = now
	for i := max(0, f.steps-recentSteps); i < f.steps; i++ {
		steps = append(steps, int(f.ended[i%recentSteps]))
	}
	return steps
}

// forget makes room for another function by removing the one viewed longest ago.
func (r *recent) forget(now time.Time) {
	oldest, name := now, ""
	for n, f := range r.functions {
		if name == "" || f.shown.Before(oldest) {
			oldest, name = f.shown, n
		}
	}
	delete(r.functions, name)
}

// step ends a step. ended returns how many jobs of a function have ended since it is known.
func (r *recent) step(now time.Time, ended func(name string) uint64) {
	r.mu.Lock()
	names := make([]string, 0, len(r.functions))
	for name, f := range r.functions {
		if now.Sub(f.shown) > recentFor {
			delete(r.functions, name)
			continue
		}
		names = append(names, name)
	}
	r.mu.Unlock()
	for _, name := range names {
		n := ended(name)
		r.mu.Lock()
		if f := r.functions[name]; f != nil {
			if n < f.last { // it was forgotten in between, and is known again
				f.last = 0
			}
			f.ended[f.steps%recentSteps] = uint32(n - f.last)
			f.last = n
			f.steps++
		}
		r.mu.Unlock()
	}
}

// endedOf returns how many jobs of a function have ended since it is known.
func (s *Source) endedOf(name string) (n uint64) {
	st, _ := s.cfg.Sched.FunctionStats(name)
	for _, k := range st.Ended {
		n += k
	}
	return n
}
