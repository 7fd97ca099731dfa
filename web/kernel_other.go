//go:build !linux

package web

import "net"

// heldByKernel returns 0: only Linux is asked.
func heldByKernel(net.Conn) int { return 0 }
