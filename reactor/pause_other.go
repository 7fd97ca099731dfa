//go:build !linux

package reactor

import "github.com/panjf2000/gnet/v2"

// pollerOf returns -1: connections cannot be left unread, and all their input is handled at once.
func pollerOf(gnet.EventLoop) int { return -1 }

func (l *loop) listen(*conn, bool) {}
