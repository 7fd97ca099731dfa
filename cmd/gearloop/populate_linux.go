package main

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// populate has the kernel provide all pages of memory but the first, which the allocator has touched. One call
// takes two thirds of the time of a fault for each page. Kernels before 5.14 refuse it: there the faults remain.
func populate(memory []byte) {
	page := uintptr(os.Getpagesize())
	at := uintptr(unsafe.Pointer(unsafe.SliceData(memory)))
	from, end := (at+page-1)&^(page-1), at+uintptr(len(memory))
	if from < end {
		// Raw, because Go's scheduler need not know of it: it blocks no longer than the faults would.
		unix.RawSyscall(unix.SYS_MADVISE, from, end-from, unix.MADV_POPULATE_WRITE)
	}
}
