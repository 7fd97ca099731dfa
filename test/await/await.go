// Package await is the only place for time limits in tests.
//
// A limit says when a test gives up, never how fast the code is. It is far above what a loaded machine needs,
// and GEARLOOP_TEST_PATIENCE (default 1) multiplies all limits.
package await

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

// patience multiplies every limit.
var patience = func() float64 {
	if f, err := strconv.ParseFloat(os.Getenv("GEARLOOP_TEST_PATIENCE"), 64); err == nil && f > 0 {
		return f
	}
	return 1
}()

// Limit is how long one awaited condition, packet or process may take.
var Limit = Scaled(60 * time.Second)

// Scaled multiplies a test's own limit by GEARLOOP_TEST_PATIENCE. Use it where Limit is too short. A limit of
// a few seconds makes a test fail on a busy machine.
func Scaled(limit time.Duration) time.Duration {
	return time.Duration(float64(limit) * patience)
}

// Until waits until holds returns true, and fails the test after Limit. what names the condition.
func Until(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	UntilSaid(tb, holds, func() string { return what })
}

// UntilSaid is Until with a message that says what was seen last: why is called after the limit.
func UntilSaid(tb testing.TB, holds func() bool, why func() string) {
	tb.Helper()
	for start := time.Now(); !holds(); time.Sleep(time.Millisecond) {
		if time.Since(start) > Limit {
			if holds() { // this process may have had no processor since the last look
				return
			}
			tb.Fatalf("not within %v: %s", Limit, why())
		}
	}
}

// UntilNone waits until left returns 0. The limit is for each decrease, as there may be very many.
func UntilNone(tb testing.TB, what string, left func() int) {
	tb.Helper()
	for n := left(); n > 0; {
		before := n
		UntilSaid(tb, func() bool { n = left(); return n < before }, func() string { return fmt.Sprint(before, " ", what) })
	}
}
