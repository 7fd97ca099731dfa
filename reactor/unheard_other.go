//go:build !linux

package reactor

import "net"

// stateOf knows nothing: only keepalive finds dead peers here.
func stateOf(int) (socketState, error) { return socketState{}, nil }

// systemKeepAlive knows nothing.
func systemKeepAlive() net.KeepAliveConfig { return net.KeepAliveConfig{} }
