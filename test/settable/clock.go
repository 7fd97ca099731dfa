// Package settable has a clock that a test can set forward and back, as a person or NTP does, or as happens
// when a machine resumes. Its times show another time of day while their monotonic reading continues, which
// no other way to make a time.Time can do.
package settable

import (
	"sync/atomic"
	"time"
	"unsafe"
)

// Clock is the machine's clock plus an offset. The zero value has none. Any goroutine may call its methods.
type Clock struct{ by atomic.Int64 }

// Now returns the time, with a monotonic reading.
func (c *Clock) Now() time.Time { return By(time.Now(), time.Duration(c.by.Load())) }

// Set sets the offset from the machine's clock, in whole seconds.
func (c *Clock) Set(by time.Duration) { c.by.Store(int64(by)) }

// By returns a time whose clock was set by whole seconds. The time must have a monotonic reading. It panics
// if the layout of time.Time is unknown.
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
