package reactor

import (
	"sync"
	"time"
)

// seldom limits how often a log line that peers cause is written.
type seldom struct {
	mu   sync.Mutex
	next time.Time
	left int
}

// ask reports whether the line may be logged now, and how many were suppressed since the last one.
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
