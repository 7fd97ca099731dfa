//go:build !linux

package reactor

import "net"

// stateOf knows of nothing to wait for: keepalive has to do.
func stateOf(int) (socketState, error) { return socketState{}, nil }

// systemKeepAlive knows nothing.
func systemKeepAlive() net.KeepAliveConfig { return net.KeepAliveConfig{} }
