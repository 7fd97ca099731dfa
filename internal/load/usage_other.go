//go:build !linux

package load

import (
	"errors"
	"time"
)

// Usage is what a process has used so far.
type Usage struct {
	CPU      time.Duration // of all threads, also those that have ended
	Resident int64         // memory in bytes
	Peak     int64         // the most memory that was resident, since the start or resetPeak
	Switches int64         // context switches of the threads there are
}

// SampleUsage returns what a process has used. It needs Linux.
func SampleUsage(int) (Usage, error) {
	return Usage{}, errors.New("what another process uses can be seen on Linux only")
}

// resetPeak has the kernel forget the most memory that a process has used.
func resetPeak(int) error { return errors.ErrUnsupported }

func ownCPU() time.Duration { return 0 }
