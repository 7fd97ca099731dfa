package view

import (
	"fmt"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/wire"
)

// A snapshot is shared while it is fresh, and then held by nobody.
func TestSnapshotsAreReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s shared[*[1000]int]
		made := 0
		get := func() weak.Pointer[[1000]int] {
			value, _ := s.get(time.Now(), func() *[1000]int { made++; return new([1000]int) })
			return weak.Make(value)
		}
		gone := func(p weak.Pointer[[1000]int]) bool {
			runtime.GC()
			return p.Value() == nil
		}
		first := get()
		time.Sleep(freshFor / 2)
		if again := get(); again != first || made != 1 {
			t.Errorf("%d were made for two requests at a time", made)
		}
		time.Sleep(freshFor)
		synctest.Wait()
		if !gone(first) {
			t.Error("the first is held although it is old")
		}
		second := get()
		s.drop()
		if !gone(second) {
			t.Error("the second is held although it was dropped")
		}
		time.Sleep(freshFor / 2)
		third := get()
		time.Sleep(freshFor * 3 / 4) // the second would have become old
		if get() != third || made != 3 {
			t.Error("the third was released while it was fresh")
		}
		time.Sleep(2 * freshFor)
	})
}

// BenchmarkSurvey makes the snapshot of all connections that pages of them are cut from. bytes/connection is what the
// snapshot takes while it is fresh; the connection itself takes 2.2 KiB (docs/scale.md).
func BenchmarkSurvey(b *testing.B) {
	const connections = 4000
	s, _, address := serving(b)
	for range connections {
		c, err := net.Dial("tcp", address)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write(codec.AppendRequest(nil, codec.CanDo, "f")); err != nil {
			b.Fatal(err)
		}
	}
	await.Until(b, "all are connected", func() bool { return s.Totals().Connections == connections })
	wire.Dial(b, address).Sync()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for b.Loop() {
		if all := s.survey(); !all.whole || len(all.rows) < connections {
			b.Fatalf("%d connections, whole: %v", len(all.rows), all.whole)
		}
	}
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N)/connections, "bytes/connection")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/connections, "ns/connection")
}

// A list of few functions is as things are now; one of many may be a second old.
func TestFewFunctionsAreFresh(t *testing.T) {
	synctest.Test(t, fewFunctionsAreFresh) // no snapshot becomes old by itself
}

func fewFunctionsAreFresh(t *testing.T) {
	r := newRig(t)
	c := r.connect()
	listed := func() int {
		t.Helper()
		page, err := r.source.Functions(FunctionQuery{})
		if err != nil {
			t.Fatal(err)
		}
		return *page.Total
	}
	for n := range 3 {
		r.submit(c, fmt.Sprint("f", n), "", "x")
		if got := listed(); got != n+1 {
			t.Errorf("%d functions are listed, want %d", got, n+1)
		}
	}
	for n := range shareFrom {
		r.submit(c, fmt.Sprint("f", n), "", "x")
	}
	if got := listed(); got != shareFrom {
		t.Errorf("%d functions are listed, want %d", got, shareFrom)
	}
	r.submit(c, "another", "", "x")
	if got := listed(); got != shareFrom {
		t.Errorf("%d functions are listed within a second, want %d", got, shareFrom)
	}
	r.now = r.now.Add(2 * freshFor)
	if got := listed(); got != shareFrom+1 {
		t.Errorf("%d functions are listed later, want %d", got, shareFrom+1)
	}
}
