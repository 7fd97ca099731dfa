package view

import (
	"testing"
	"time"

	"gearloop/internal/dialect"
	"gearloop/sched"
	"gearloop/test/settable"
)

// A clock that is set, or a machine that resumes, does not make the broker look stuck.
func TestAliveWhenTheClockIsSet(t *testing.T) {
	clock := new(settable.Clock)
	s := New(Config{Sched: sched.New(sched.Config{Dialect: dialect.Perl}), Now: clock.Now})
	s.noteLocks()
	for _, by := range []time.Duration{3 * time.Hour, -3 * time.Hour} {
		clock.Set(by)
		if err := s.Alive(); err != nil {
			t.Errorf("the clock set by %v: %v", by, err)
		}
	}
	s.noteLocks()
	old := clock.Now().Add(-2 * stuckAfter)
	s.locksTaken.Store(&old)
	clock.Set(0)
	if s.Alive() == nil {
		t.Error("locks that are not to be had are not seen")
	}
}
