package wire

import (
	"runtime"
	"testing"
)

// Aside returns tb for connections that are used in goroutines other than the test's own, where
// FailNow may not be called: what would end the test fails it and ends that goroutine alone. Whoever
// waits for the goroutine has to look at tb.Failed.
func Aside(tb testing.TB) testing.TB { return aside{tb} }

type aside struct{ testing.TB }

func (a aside) Fatal(args ...any) {
	a.Helper()
	a.Error(args...)
	runtime.Goexit()
}

func (a aside) Fatalf(format string, args ...any) {
	a.Helper()
	a.Errorf(format, args...)
	runtime.Goexit()
}

func (a aside) FailNow() {
	a.Fail()
	runtime.Goexit()
}
