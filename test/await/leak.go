package await

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// NoLeak is the TestMain of a package whose tests leave no goroutine behind, but those in options.
func NoLeak(m *testing.M, options ...goleak.Option) {
	goleak.VerifyTestMain(lenient{m, options}, options...)
}

// lenient waits for goroutines that are about to end: goleak itself gives up after 0.4 s.
type lenient struct {
	*testing.M
	options []goleak.Option
}

func (l lenient) Run() int {
	code := l.M.Run()
	for start := time.Now(); code == 0 && goleak.Find(l.options...) != nil && time.Since(start) < Limit; {
	}
	return code
}
