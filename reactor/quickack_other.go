//go:build !linux

package reactor

import "net"

// acknowledgePart does nothing: the system has no such option.
func (c *conn) acknowledgePart() {}

// acknowledge does nothing: the system has no such option.
func acknowledge(net.Conn) {}
