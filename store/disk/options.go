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
	// SyncAlways: once it is on the disk. It survives a loss of power.
	SyncAlways SyncMode = iota
	// SyncInterval: once the system has it; it is put on the disk every Interval. It survives the end of the
	// process, and a loss of power if that comes later than Interval.
	SyncInterval
	// SyncNone: once the system has it, which puts it on the disk when it likes. It survives the end
	// of the process.
	SyncNone
)

// ParseSync reads always, interval=DURATION or none.
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

// Options say how a directory is opened.
type Options struct {
	Dir      string
	Sync     SyncMode
	Interval time.Duration // of SyncInterval

	// MaxQueued is how many bytes may wait for the disk; 0 is 256 MiB. A job is always taken when
	// nothing waits.
	MaxQueued int64

	// Fault, if not nil, is called from the store's goroutine when something could not be written, read or
	// removed, at most once per minute, and with nil when jobs are stored again after that.
	Fault func(error)

	resume bool // go on in the newest segment if it ended in order; for the Importer

	// What tests set.
	fs          vfs.FS
	segmentSize int64         // the smallest
	large       int           // LargeArgument
	probe       int           // bytes that must find room after a failure
	retryEvery  time.Duration // attempts to write again
	lazyFor     time.Duration // longest time until an end is written
	faultEvery  time.Duration
	manual      bool // no committer: the test takes its turns
}

const (
	defaultMaxQueued = 256 << 20
	minSegment       = 4 << 20
	maxSegment       = 64 << 20
	maxSegments      = 64 // more are cleaned away, however little garbage there is

	// recordSize is how many bytes of entries go into one record, about. What can't be read later is
	// lost by whole records.
	recordSize = 16 << 10
	// lazyMost is how many ends wait at most before they are written without a job that comes along.
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
	if o.faultEvery == 0 {
		o.faultEvery = time.Minute
	}
	if o.Interval == 0 {
		o.Interval = 10 * time.Millisecond
	}
}
