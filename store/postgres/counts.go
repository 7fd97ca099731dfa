package postgres

import (
	"time"

	"gearloop/internal/histogram"
)

// Activity is what has been done since the engine was started. Counters only go up.
type Activity struct {
	Written  uint64    // bytes of jobs, their arguments included
	Failures uint64    // times that storing failed, or failed again
	Since    time.Time // since when it fails; zero: it does not

	Commit histogram.Histogram // how long commits took (histogram.Turns)
	Batch  histogram.Histogram // jobs that were stored together (histogram.Batches)

	Events [Kinds]uint64 // changes of state, by Kind
}

// Activity returns what has been done. It does not wait for the database.
func (e *Engine) Activity() Activity {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.activity
}

// Changes returns how often the broker's state has changed, by Kind.
func (e *Engine) Changes() [Kinds]uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.activity.Events
}

// committed counts a batch that is stored.
func (e *Engine) committed(b *batch, took time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	a := &e.activity
	a.Written += uint64(b.bytes)
	a.Commit.Add(histogram.Turns.In(int64(took)), int64(took))
	if n := int64(len(b.jobs)); n > 0 {
		a.Batch.Add(histogram.Batches.In(n), n)
	}
}
