//go:build !linux

package reactor

import "net"

// acknowledge does nothing where there is no such option.
func acknowledge(net.Conn) {}
