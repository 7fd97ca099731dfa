package disk

import (
	"fmt"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
)

// SyncMode says when a job counts as stored.
type SyncMode uint8

const (
	// SyncAlways: when it is on the disk. It survives a loss of power.
	SyncAlways SyncMode = iota
	// SyncInterval: when the system has it; it is synced every Interval. It survives the end of the process, and
	// a loss of power that comes later than Interval.
	SyncInterval
	// SyncNone: when the system has it, which writes it to disk at its own pace. It survives the end of the
	// process.
	SyncNone
)

// ParseSync parses always, interval=DURATION or none.
func ParseSync(s string) (SyncMode, time.Duration, error) {
	every, isInterval := strings.CutPrefix(s, "interval=")
	switch {
	case s == "always":
		return SyncAlways, 0, nil
	case s == "none":
		return SyncNone, 0, nil
	case isInterval:
		if d, err := time.ParseDuration(every); err == nil && d > 0 {
			return SyncInterval, d, nil
		}
	}
	return 0, 0, fmt.Errorf("%q is not always, interval=DURATION or none", s)
}

// Options configure a store.
type Options struct {
	Dir      string
	Sync     SyncMode
	Interval time.Duration // of SyncInterval

	// MaxQueued bounds the bytes that wait for the disk, large arguments aside; 0 means 256 MiB. A job is always
	// accepted if nothing waits.
	MaxQueued int64

	// Fault, unless nil, is called from the store's goroutine when something could not be written, read or
	// removed, at most once per minute, and with nil when jobs are stored again.
	Fault func(error)

	resume bool // continue the newest segment if it was closed in order; for the Importer

	// For tests.
	fs          vfs.FS
	segmentSize int64         // the smallest size
	large       int           // LargeArgument
	probe       int           // bytes that must find room after a failure
	retryEvery  time.Duration // pause between attempts to write again
	lazyFor     time.Duration // longest wait of an end for a job to be written with
	faultEvery  time.Duration
	hurryWithin time.Duration // HurryWithin; negative: each job is written as soon as the committer is free
	manual      bool          // no committer: the test calls turn
}

const (
	defaultMaxQueued = 256 << 20
	minSegment       = 4 << 20
	maxSegment       = 64 << 20
	maxSegments      = 64 // beyond this, segments are cleaned however little garbage they have

	// recordSize is the approximate size of a record, in bytes of entries. Damage loses whole records.
	recordSize = 16 << 10
	// lazyMost is how many ends may wait for a job to be written with.
	lazyMost = 8192
)

func (o *Options) setDefaults() {
	if o.MaxQueued == 0 {
		o.MaxQueued = defaultMaxQueued
	}
	if o.fs == nil {
		o.fs = machine
	}
	if o.segmentSize == 0 {
		o.segmentSize = minSegment
	}
	if o.large == 0 {
		o.large = store.LargeArgument
	}
	if o.probe == 0 {
		o.probe = 1 << 20
	}
	if o.retryEvery == 0 {
		o.retryEvery = time.Second
	}
	if o.lazyFor == 0 {
		o.lazyFor = 50 * time.Millisecond
	}
	if o.hurryWithin == 0 {
		o.hurryWithin = store.HurryWithin
	}
	if o.manual {
		o.hurryWithin = -1
	}
	if o.faultEvery == 0 {
		o.faultEvery = time.Minute
	}
	if o.Interval == 0 {
		o.Interval = 10 * time.Millisecond
	}
}
