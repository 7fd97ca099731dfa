package main

import "golang.org/x/sys/unix"

// makeDumpable lets this process leave a core file although it was root once.
func makeDumpable() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) }
