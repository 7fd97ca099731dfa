package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// limitDescriptors sets how many descriptors this process may have; more than it may only as root.
func limitDescriptors(n uint64) error {
	if n == 0 {
		return nil
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("--file-descriptors: %w", err)
	}
	hard := uint64(limit.Max)
	assign(&limit.Cur, n)
	assign(&limit.Max, max(n, hard))
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("--file-descriptors: cannot set the limit to %d: %w (the hard limit is %d)", n, err, hard)
	}
	return nil
}

// assign sets a field of unix.Rlimit, whose type differs between systems.
func assign[T int64 | uint64](field *T, n uint64) { *field = T(n) }

// dumpCore has the kernel write a core file when this process breaks down, as far as its limits
// allow. To be called when it has become the user that it stays.
func dumpCore() error {
	debug.SetTraceback("crash")
	var limit unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_CORE, &limit)
	if err == nil {
		limit.Cur = limit.Max
		err = unix.Setrlimit(unix.RLIMIT_CORE, &limit)
	}
	if err == nil {
		err = makeDumpable()
	}
	if err != nil {
		return fmt.Errorf("--coredump: %w", err)
	}
	return nil
}

// limitProcessors sets how many threads Go runs at a time, unless the user has: one for each loop, as far as there are
// cores, and some for others, one at least. Without that one whoever comes while all loops are busy waits for up to
// 10 ms, until the scheduler looks for somebody else to run; with as many as there are cores for others who have
// nothing to do, threads are woken in vain.
func limitProcessors(loops, others int) {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(min(loops, runtime.GOMAXPROCS(0)) + others)
	}
}
