package bench

import (
	"math/bits"
	"time"
)

const (
	subBits    = 5            // each power of two is divided into 32 steps: 3 per cent
	subBuckets = 1 << subBits //
	buckets    = (64 - subBits) * subBuckets
)

// Latencies counts durations in buckets whose width grows with the duration. The zero value is empty.
type Latencies struct {
	counts [buckets]uint32
	total  int
}

// Add counts one duration; a negative one counts as zero.
func (l *Latencies) Add(d time.Duration) {
	l.counts[bucket(uint64(max(d, 0)))]++
	l.total++
}

// Merge adds all that other has counted.
func (l *Latencies) Merge(other *Latencies) {
	for i, n := range other.counts {
		l.counts[i] += n
	}
	l.total += other.total
}

// Count returns how many durations were counted.
func (l *Latencies) Count() int { return l.total }

// Quantile returns the duration that a part q (0 to 1) of all do not exceed, rounded up to
// the end of its bucket; 0 when nothing was counted.
func (l *Latencies) Quantile(q float64) time.Duration {
	rank := int(q*float64(l.total) + 0.5)
	rank = min(max(rank, 1), l.total)
	seen := 0
	for i, n := range l.counts {
		if seen += int(n); n > 0 && seen >= rank {
			return time.Duration(bucketEnd(i))
		}
	}
	return 0
}

// bucket returns where a value is counted: up to subBuckets each has its own, above that
// subBuckets per power of two.
func bucket(v uint64) int {
	shift := max(bits.Len64(v)-subBits-1, 0)
	return shift<<subBits + int(v>>shift)
}

// bucketEnd returns the largest value of a bucket.
func bucketEnd(i int) uint64 {
	if i < 2*subBuckets {
		return uint64(i)
	}
	shift := i>>subBits - 1
	return uint64(i-shift<<subBits+1)<<shift - 1
}
