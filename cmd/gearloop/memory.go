package main

import "github.com/KimMachineGun/automemlimit/memlimit"

// availableMemory returns the memory of this process's control group, or of the machine, in bytes.
func availableMemory() (uint64, error) {
	return memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)()
}
