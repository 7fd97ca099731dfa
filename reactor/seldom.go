package reactor

import (
	"sync"
	"time"
)

// seldom bounds how often a line is logged that peers cause.
type seldom struct {
	mu   sync.Mutex
	next time.Time
	left int
}

// ask reports whether the line may be logged now, and how many were not since the last one.
func (s *seldom) ask(now time.Time) (left int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(s.next) {
		s.left++
		return 0, false
	}
	left, s.left = s.left, 0
	s.next = now.Add(logPause)
	return left, true
}
