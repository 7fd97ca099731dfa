//go:build !linux

package reactor

import "github.com/panjf2000/gnet/v2"

// pollerOf says that connections can't be left unread: whatever they send is handled at once.
func pollerOf(gnet.EventLoop) int { return -1 }

func (l *loop) listen(*conn, bool) {}
