package store

import "time"

// NoEvents ignores all events. Embed it to implement only some of them.
type NoEvents struct{}

// Opened implements Events.
func (NoEvents) Opened(uint64) {}

// Lease implements Events.
func (NoEvents) Lease(time.Time) {}

// Adopt implements Events.
func (NoEvents) Adopt([]Job) bool { return true }

// Disowned implements Events.
func (NoEvents) Disowned() {}

// Flushed implements Events.
func (NoEvents) Flushed() {}

var _ Events = NoEvents{}
