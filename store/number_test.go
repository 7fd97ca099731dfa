package store

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A number can be split into the parts it was made of, is not 0, and fits into 63 bits and 19 digits.
func TestNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		run := rapid.OneOf(rapid.SampledFrom([]uint64{0, 1, MaxRun}), rapid.Uint64Range(0, MaxRun)).Draw(t, "run")
		count := rapid.OneOf(rapid.SampledFrom([]uint64{0, 1, MaxCount}), rapid.Uint64Range(0, MaxCount)).Draw(t, "count")
		shard := rapid.IntRange(0, Shards-1).Draw(t, "shard")
		n := Number(run, count, shard)
		if n == 0 || n > math.MaxInt64 || !Valid(n) {
			t.Fatalf("number %d can't be that of a job", n)
		}
		if RunOf(n) != run || CountOf(n) != count || ShardOfNumber(n) != shard {
			t.Fatalf("number %d of run %d, count %d, shard %d leads to %d, %d, %d", n, run, count, shard,
				RunOf(n), CountOf(n), ShardOfNumber(n))
		}
		if mark := RunMark(run); mark < n || RunOf(mark) != run {
			t.Fatalf("the mark of run %d is %d, of run %d", run, mark, RunOf(mark))
		}
	})
	for n, valid := range map[uint64]bool{
		0: false, 1: true, 64: true, 1<<46 + 23: true, RunMark(MaxRun): true, RunMark(MaxRun) + 1: false,
		math.MaxInt64: false, 1 << 63: false, math.MaxUint64: false,
	} {
		if Valid(n) != valid {
			t.Errorf("%d can be the number of a job: %v, want %v", n, Valid(n), valid)
		}
	}
}

// The shards of functions are part of what is on disks, so they never change.
func TestShardsStay(t *testing.T) {
	for function, want := range map[string]int{
		"": 25, "f": 21, "resize": 29, "any\xff bytes": 8, "imported": 14, "moved": 1, "\x00": 19,
		"a function with a name that is longer than others": 2,
	} {
		if got := ShardOf(function); got != want {
			t.Errorf("%q lies in shard %d, want %d", function, got, want)
		}
		if got := ShardOf([]byte(function)); got != want {
			t.Errorf("%q lies in shard %d as bytes", function, got)
		}
	}
}

// Moments outside the range of nanoseconds become the nearest one in it.
func TestDue(t *testing.T) {
	last := time.Unix(LatestDue, 0)
	for _, c := range []struct {
		at, want time.Time
	}{
		{time.Unix(1_700_000_000, 123_456_789), time.Unix(1_700_000_000, 123_456_789)},
		{time.Time{}, time.Time{}},
		{time.Unix(0, 0), time.Time{}},
		{time.Unix(0, 1), time.Unix(0, 1)},
		{time.Unix(-1, 0), time.Time{}},
		{time.Unix(math.MinInt64, 0), time.Time{}},
		{time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC), time.Time{}},
		{last, last},
		{last.Add(1), last},
		{time.Unix(LatestDue+1, 0), last},
		{time.Unix(253402300800, 0), last},
		{time.Unix(1<<40, 0), last},
		{time.Unix(1795835859000, 0), last},
		{time.Date(9999, 12, 31, 23, 59, 59, 999, time.UTC), last},
	} {
		if got := DueTime(Due(c.at)); !got.Equal(c.want) {
			t.Errorf("%v is due at %v, want %v", c.at, got, c.want)
		}
	}
}
