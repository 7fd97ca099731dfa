//go:build !linux

package reactor

import "net"

// inheritsKeepAlive: elsewhere package net sets up each connection.
const inheritsKeepAlive = false

// setKeepAlive does nothing.
func setKeepAlive(int, net.KeepAliveConfig) error { return nil }
