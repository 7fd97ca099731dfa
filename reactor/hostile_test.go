package reactor

import (
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gearloop/systest/wire"
)

// Urgent data must not keep an event loop busy.
func TestUrgentDataDoesNotSpin(t *testing.T) {
	r := newRig(t, loops(1))
	c := r.dial()
	c.Sync()
	raw, err := c.Conn.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { err = unix.Sendto(int(fd), []byte{'v'}, unix.MSG_OOB, nil) })
	if err != nil {
		t.Fatal(err)
	}
	other := r.dial()
	before := cpuTime(t)
	start := time.Now()
	for time.Since(start) < 300*time.Millisecond {
		other.Sync()
		time.Sleep(10 * time.Millisecond)
	}
	if used := cpuTime(t) - before; used > 150*time.Millisecond {
		t.Errorf("%v of CPU time in %v with nothing to do", used, time.Since(start))
	}
	wire.Await(t, "x", func() bool { return true })
}

// cpuTime returns the CPU time this process has used.
func cpuTime(t *testing.T) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
