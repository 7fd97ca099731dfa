//go:build !linux

package reactor

import "net"

// acknowledgePart does nothing where there is no such option.
func (c *conn) acknowledgePart() {}

// acknowledge does nothing where there is no such option.
func acknowledge(net.Conn) {}
