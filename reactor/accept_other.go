//go:build !linux

package reactor

import "net"

// newListener returns the listener that is to be used for l.
func newListener(l net.Listener) net.Listener { return l }

// acceptInLoops does nothing: acceptors accept.
func (s *Server) acceptInLoops(net.Listener, *door) bool { return false }
