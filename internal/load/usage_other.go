//go:build !linux

package load

import (
	"errors"
	"time"
)

// Usage is what a process has used so far.
type Usage struct {
	CPU      time.Duration // of all threads, including ended ones
	Resident int64         // memory in bytes
	Peak     int64         // peak of resident memory since the start or resetPeak
	Switches int64         // context switches of the existing threads
}

// SampleUsage returns what a process has used. It needs Linux.
func SampleUsage(int) (Usage, error) {
	return Usage{}, errors.New("what another process uses can be seen on Linux only")
}

// resetPeak resets a process's peak of resident memory.
func resetPeak(int) error { return errors.ErrUnsupported }

func ownCPU() time.Duration { return 0 }
