package pages

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gearloop/web/guard"
)

const (
	manyFunctions = 100_000
	manyJobs      = 1_000_000
)

// BenchmarkPages makes each page of a broker with 100,000 functions and 1,000,000 jobs, as after a second
// without a request, so that nothing is shared with the page before. cpu-ms/page is the CPU time of the whole
// process with garbage collection, so other work on the machine does not affect it.
func BenchmarkPages(b *testing.B) {
	now := time.Now()
	r := newRigAt(b, guard.Reader, func() time.Time { return now })
	var handle string
	for i := range manyJobs {
		handle = r.submit(fmt.Sprintf("tenant%06d.resize", i%manyFunctions), fmt.Sprint("unique", i), "an argument")
	}
	runtime.GC()
	for _, path := range []string{
		"/", "/functions", "/functions?sort=oldest", "/functions?sort=waiting", "/functions?sort=rate", "/functions?sort=wait_p99", "/functions?match=*99*",
		"/functions?only=no_workers", "/functions?only=failing", "/functions/tenant050000.resize", "/functions/tenant050000.resize?tab=running",
		"/functions/tenant050000.resize?tab=delayed", "/jobs", "/jobs?state=running", "/jobs?function=tenant050000.resize", "/jobs?function=*050000*",
		"/jobs?unique=unique500000", "/jobs/" + url.PathEscape(handle), "/jobs/" + url.PathEscape(handle) + "?as=json", "/workers", "/system",
	} {
		b.Run(path, func(b *testing.B) {
			begun := cpu(b)
			for b.Loop() {
				now = now.Add(2 * time.Second)
				q := httptest.NewRequest(http.MethodGet, path, nil)
				q.Host = "localhost"
				w := httptest.NewRecorder()
				r.handler.ServeHTTP(w, q)
				if w.Code != http.StatusOK {
					b.Fatalf("status %d", w.Code)
				}
			}
			b.ReportMetric(float64((cpu(b)-begun).Microseconds())/1000/float64(b.N), "cpu-ms/page")
		})
	}
}

// cpu returns the CPU time that the process has used.
func cpu(tb testing.TB) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
