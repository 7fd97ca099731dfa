package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// limitDescriptors sets the limit of descriptors; only root may raise the hard limit.
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

// assign sets a field of unix.Rlimit, whose type depends on the system.
func assign[T int64 | uint64](field *T, n uint64) { *field = T(n) }

// dumpCore makes the kernel write a core file when this process crashes, within its limits. It must be called
// after root was dropped.
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

// limitProcessors sets Go's number of threads, unless GOMAXPROCS is set: one for each loop, as far as there
// are cores, and at least one for other goroutines. Without that one, a new connection waits for up to 10 ms
// while all loops are busy, until the scheduler preempts one. With one for every core, threads would be woken
// for nothing.
func limitProcessors(loops, others int) {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(min(loops, runtime.GOMAXPROCS(0)) + others)
	}
}
