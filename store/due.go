package store

import (
	"math"
	"time"
)

// lastDue is the latest moment that Due can tell: 2262-04-11T23:47:16.854775807Z.
var lastDue = time.Unix(0, math.MaxInt64)

// Due returns a moment as Job.Due has it: in nanoseconds since 1970. One after 2262 becomes the last one that can
// be told, one before 1970, and the zero time, become 0: at once.
func Due(at time.Time) int64 {
	switch {
	case !at.After(time.Unix(0, 0)):
		return 0
	case at.After(lastDue):
		return math.MaxInt64
	}
	return at.UnixNano()
}

// DueTime returns the moment of a Job.Due, the zero time for 0.
func DueTime(due int64) time.Time {
	if due == 0 {
		return time.Time{}
	}
	return time.Unix(0, due)
}
