package view

import (
	"sync"
	"sync/atomic"
	"time"
)

// watcher is the goroutines of a source.
type watcher struct {
	on    atomic.Bool
	done  chan struct{}
	ended sync.WaitGroup
}

// lookEvery is how often the source looks at the broker.
const lookEvery = time.Second

// diskEvery is the number of looks between queries for free disk space.
const diskEvery = 10

// Start makes the source look at the broker once a second: for Alive, and for the history.
func (s *Source) Start() {
	s.watcher.done = make(chan struct{})
	s.watcher.on.Store(true)
	s.noteLocks()
	s.past.mu.Lock()
	s.past.rings = rings()
	s.past.mu.Unlock()
	s.watcher.ended.Go(func() {
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for n := 0; ; n++ {
			s.look(n)
			if n%diskEvery == 0 {
				s.lookAtDisk()
			}
			select {
			case <-tick.C:
			case <-s.watcher.done:
				return
			}
		}
	})
}

// End ends what Start began.
func (s *Source) End() {
	if s.watcher.on.CompareAndSwap(true, false) {
		close(s.watcher.done)
		s.watcher.ended.Wait()
	}
}

// look acquires all locks of the scheduler, one after the other.
func (s *Source) look(n int) {
	s.remember(n)
	if n%recentEvery == 0 {
		s.recent.step(s.cfg.Now(), s.endedOf)
	}
	if n%failuresEvery == 0 {
		by := endedBy{at: s.cfg.Now()} // at the start nothing has ended, and requests would see that snapshot for a second
		if n > 0 {
			snap, made := s.snapshot()
			by = endedUntil(snap.rows, made)
			by.times = s.functionTimes()
		}
		s.failures.keep(by)
	}
	if n%ratesEvery == 0 && s.rates.wanted(s.cfg.Now()) {
		snap, made := s.snapshot()
		s.rates.keep(endedUntil(snap.rows, made))
	}
	s.noteLocks()
}

func (s *Source) noteLocks() {
	now := s.cfg.Now()
	s.locksTaken.Store(&now)
}
