// Package histogram counts values in buckets with fixed bounds, as Prometheus does. The fields are plain: the
// caller synchronizes access.
package histogram

import (
	"math"
	"time"
)

// maxBounds is the largest number of bounds.
const maxBounds = 19

// Bounds are the inclusive upper bounds of buckets, in ascending order.
type Bounds []int64

// Histogram counts values. The zero value is empty. All values of a histogram must use the same Bounds.
type Histogram struct {
	Buckets [maxBounds + 1]uint64 // one for each bound, and one for values above all bounds
	Sum     int64
}

// In returns the index of the bucket of a value.
func (b Bounds) In(v int64) int {
	for i, bound := range b {
		if v <= bound {
			return i
		}
	}
	return len(b)
}

// Add counts a value in the bucket with index in.
func (h *Histogram) Add(in int, v int64) {
	h.Buckets[in]++
	h.Sum += v
}

// Merge adds other to h.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.Buckets {
		h.Buckets[i] += n
	}
	h.Sum += other.Sum
}

// Since returns the counts since an earlier state.
func (h *Histogram) Since(earlier *Histogram) (d Histogram) {
	for i, n := range h.Buckets {
		d.Buckets[i] = n - earlier.Buckets[i]
	}
	d.Sum = h.Sum - earlier.Sum
	return d
}

// Count returns the number of values.
func (h *Histogram) Count() (n uint64) {
	for _, k := range h.Buckets {
		n += k
	}
	return n
}

// quantile returns a value that the fraction q (0 to 1) of all values does not exceed, interpolated within
// its bucket; 0 if there are none, the last bound if it is above all.
func (h *Histogram) quantile(b Bounds, q float64) float64 {
	rank := q * float64(h.Count())
	if rank == 0 {
		return 0
	}
	seen, low := 0.0, 0.0
	for i, bound := range b {
		n := float64(h.Buckets[i])
		if seen+n >= rank && n > 0 {
			return low + (float64(bound)-low)*(rank-seen)/n
		}
		seen, low = seen+n, float64(bound)
	}
	return low
}

// Seconds returns a quantile of times, in seconds.
func (h *Histogram) Seconds(b Bounds, q float64) float64 {
	return h.quantile(b, q) / float64(time.Second)
}

// times converts bounds from seconds to nanoseconds.
func times(seconds ...float64) (b Bounds) {
	for _, s := range seconds {
		b = append(b, int64(math.Round(s*1e9)))
	}
	return b
}

// The bounds in use.
var (
	// Jobs is for durations of jobs: from half a millisecond to half an hour.
	Jobs = times(.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
	// Turns is for short delays: from 50 microseconds to 10 seconds.
	Turns = times(.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)
	// Batches is for numbers of jobs.
	Batches = Bounds{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384}
)
