package histogram

import (
	"math"
	"sort"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Every value is in the bucket whose bounds enclose it, and the parts of a histogram add up to the whole.
func TestBuckets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SampledFrom([]Bounds{Jobs, Turns, Batches}).Draw(t, "bounds")
		values := rapid.SliceOf(rapid.OneOf(rapid.SampledFrom(b), rapid.Int64Range(0, int64(time.Hour)))).Draw(t, "values")
		var whole, first, both Histogram
		for i, v := range values {
			in := b.In(v)
			if in > 0 && v <= b[in-1] || in < len(b) && v > b[in] {
				t.Fatalf("%d is in bucket %d of %v", v, in, b)
			}
			whole.Add(in, v)
			if i < len(values)/2 {
				first.Add(in, v)
			}
		}
		rest := whole.Since(&first)
		both.Merge(&rest)
		both.Merge(&first)
		if both != whole || whole.Count() != uint64(len(values)) {
			t.Fatalf("%v in parts is %v", whole, both)
		}
		// A quantile is in the same bucket as the value that it stands for.
		sort.Slice(values, func(i, j int) bool { return values[i] < values[j] })
		for _, q := range []float64{.01, .5, .99, 1} {
			if len(values) == 0 {
				break
			}
			v := values[int(math.Ceil(q*float64(len(values))))-1]
			in, got := b.In(v), whole.quantile(b, q)
			if want := b.In(int64(math.Ceil(got))); want != min(in, len(b)-1) {
				t.Fatalf("quantile %v of %v is %v, want one like %d", q, values, got, v)
			}
		}
	})
}

func TestBoundsFit(t *testing.T) {
	for _, b := range []Bounds{Jobs, Turns, Batches} {
		if len(b) > maxBounds || !sort.SliceIsSorted(b, func(i, j int) bool { return b[i] < b[j] }) {
			t.Errorf("%v", b)
		}
	}
	if new(Histogram).Seconds(Jobs, .5) != 0 {
		t.Error("an empty histogram has a quantile")
	}
}
