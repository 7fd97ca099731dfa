// Package settable has a clock that a test sets forward and back, as a person or NTP does, or a machine that was suspended.
// Its times show another time of day then, while their reading of the monotonic clock goes on: no other way to make
// a time.Time can do that.
package settable

import (
	"sync/atomic"
	"time"
	"unsafe"
)

// Clock is the machine's clock, set by so much. The zero value is not set. Its methods may be called from any goroutine.
type Clock struct{ by atomic.Int64 }

// Now returns the time, with a reading of the monotonic clock.
func (c *Clock) Now() time.Time { return By(time.Now(), time.Duration(c.by.Load())) }

// Set sets the clock by whole seconds from what the machine has.
func (c *Clock) Set(by time.Duration) { c.by.Store(int64(by)) }

// By returns a time whose clock was set by whole seconds. The time needs a reading of the monotonic clock. It panics
// where time.Time has another form than it knows.
func By(t time.Time, by time.Duration) time.Time {
	before := t
	wall := &(*struct {
		wall uint64 // 1 bit: there is a monotonic reading; 33 bits: seconds; 30 bits: nanoseconds
		ext  int64
		loc  *time.Location
	})(unsafe.Pointer(&t)).wall
	*wall += uint64(by/time.Second) << 30
	if t.Sub(before) != 0 || t.Round(0).Sub(before.Round(0)) != by {
		panic("settable: time.Time has another form, or there is no monotonic reading")
	}
	return t
}
