package store

import "time"

// BulkReceipts is an optional capability of Events. An engine may call StoredAll instead of Stored for receipts
// that follow one another and have no error. The slice is valid during the call.
type BulkReceipts interface {
	StoredAll(receipts []Receipt)
}

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
