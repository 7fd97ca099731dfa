// Package leak checks that the tests of a package leave no goroutine behind.
package leak

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"gearloop/test/await"
)

// None runs the tests of a package, for its TestMain, and fails if they leave goroutines behind. options says which ones may stay.
func None(m *testing.M, options ...goleak.Option) {
	goleak.VerifyTestMain(lenient{m, options}, options...)
}

// lenient waits for goroutines that are about to end: goleak itself gives up after 0.4 s.
type lenient struct {
	*testing.M
	options []goleak.Option
}

func (l lenient) Run() int {
	code := l.M.Run()
	for start := time.Now(); code == 0 && goleak.Find(l.options...) != nil && time.Since(start) < await.Limit; {
	}
	return code
}
