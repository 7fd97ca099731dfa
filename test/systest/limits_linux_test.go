package systest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// limitDescriptors lowers the limit of a running process's descriptors so that it can open this many more.
// What it returns sets the limit back.
func limitDescriptors(t *testing.T, pid, more int) (restore func()) {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	open := map[int]bool{}
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		open[n] = true
	}
	// The limit is on numbers: those that are free below it are the ones that can be had.
	limit := 0
	for free := 0; free < more || open[limit]; limit++ {
		if !open[limit] {
			free++
		}
	}
	var before unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &before); err != nil {
		t.Fatal(err)
	}
	set := func(l unix.Rlimit) {
		t.Helper()
		if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &l, nil); err != nil {
			t.Fatal(err)
		}
	}
	set(unix.Rlimit{Cur: uint64(limit), Max: before.Max})
	return func() { t.Helper(); set(before) }
}

// A limit on file sizes is reached while the server runs, and lifted later. In between background jobs are
// refused, everything else works, and nothing is lost.
func TestFileSizeLimit(t *testing.T) {
	inBoth(t, func(t *testing.T, k *keeper) {
		s := k.start()
		o := k.offering(s.Addr)
		for range 20 {
			o.offer(1000)
		}
		var before unix.Rlimit
		if err := unix.Prlimit(s.PID, unix.RLIMIT_FSIZE, nil, &before); err != nil {
			t.Fatal(err)
		}
		if err := unix.Prlimit(s.PID, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 64 << 10, Max: before.Max}, nil); err != nil {
			t.Fatal(err)
		}
		o.untilRefused(5000)
		awaitLog(t, s, saysRefused)
		foreground(t, s.Addr)
		o.doneOf(s.Addr)
		for range 20 {
			if o.offer(10) {
				t.Error("a job was taken while files may not grow")
			}
		}
		if err := unix.Prlimit(s.PID, unix.RLIMIT_FSIZE, &before, nil); err != nil {
			t.Fatal(err)
		}
		o.untilTaken(5000)
		awaitLog(t, s, saysAgain)
		for range 20 {
			if !o.offer(5000) {
				t.Error("a job was refused although files may grow again")
			}
		}
		once(t, s.Stderr(), saysRefused, 1)
		once(t, s.Stderr(), saysAgain, 1)
		s = k.kill()
		wantKnown(t, s.Addr, strings.Repeat("k", len(o.handles)), o.handles...)
		wantJobs(t, s, "f", o.accepted...)
	})
}
