package store

import (
	"math"
	"time"
)

// LatestDue is the last second since 1970 at which a job can be due, 2262-04-11T23:47:16Z: the end of the
// range of nanoseconds in an int64.
const LatestDue = math.MaxInt64 / int64(time.Second)

// Due converts a moment to Job.Due, nanoseconds since 1970. A moment after LatestDue becomes LatestDue; one
// before 1970, and the zero time, become 0: due at once.
func Due(at time.Time) int64 {
	switch {
	case at.Unix() < 0:
		return 0
	case at.Unix() >= LatestDue:
		return LatestDue * int64(time.Second)
	}
	return at.UnixNano()
}

// DueTime converts a Job.Due to a moment, 0 to the zero time.
func DueTime(due int64) time.Time {
	if due == 0 {
		return time.Time{}
	}
	return time.Unix(0, due)
}
