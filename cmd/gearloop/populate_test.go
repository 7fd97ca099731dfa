//go:build linux

package main

import (
	"bytes"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// All pages of memory but the first are provided at once, and none outside. What is in them stays.
func TestPopulate(t *testing.T) {
	page := unix.Getpagesize()
	whole, err := unix.Mmap(-1, 0, 16*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(whole)
	unix.Madvise(whole, unix.MADV_NOHUGEPAGE) // else a touch may provide several pages
	provided := func() []byte {
		in := make([]byte, 16)
		_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&whole[0])), uintptr(len(whole)),
			uintptr(unsafe.Pointer(&in[0])))
		if errno != 0 {
			t.Fatal(errno)
		}
		return in
	}
	if err := unix.Madvise(whole[:page], unix.MADV_POPULATE_WRITE); err == unix.EINVAL {
		populate(whole) // which this kernel refuses: nothing happens
		return
	}
	whole[4*page+8] = 1 // as the allocator does
	populate(whole[4*page+8 : 8*page+16])
	if got, want := provided(), []byte{1, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0}; !bytes.Equal(got, want) {
		t.Errorf("pages in memory: %v, want %v", got, want)
	}
	if whole[4*page+8] != 1 {
		t.Error("the memory was changed")
	}
	populate(whole[10*page+8 : 11*page])
	populate(nil)
	if got, want := provided(), []byte{1, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0}; !bytes.Equal(got, want) {
		t.Errorf("pages in memory after memory within a page: %v, want %v", got, want)
	}
}
