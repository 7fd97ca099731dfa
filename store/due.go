package store

import (
	"math"
	"time"
)

// LatestDue is the last second since 1970 at which a job can be due: 2262-04-11T23:47:16Z. Nanoseconds since
// 1970 end there.
const LatestDue = math.MaxInt64 / int64(time.Second)

// Due returns a moment as Job.Due has it: in nanoseconds since 1970. One after LatestDue becomes that; one
// before 1970, and the zero time, become 0: at once.
func Due(at time.Time) int64 {
	switch {
	case at.Unix() < 0:
		return 0
	case at.Unix() >= LatestDue:
		return LatestDue * int64(time.Second)
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
