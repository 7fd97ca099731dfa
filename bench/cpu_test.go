package bench

import (
	"syscall"
	"testing"
	"time"
)

// ownCPU returns the processor time of this process so far, user and system mode together.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cpuPerOp reports the processor time per operation, of all goroutines and the garbage collector, from this
// call to that of the function it returns. Beside other programs it is steadier than the time that passes.
func cpuPerOp(b *testing.B) (end func()) {
	before := ownCPU()
	return func() { b.ReportMetric(float64(ownCPU()-before)/float64(b.N), "cpu-ns/op") }
}
