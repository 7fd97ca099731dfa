package reactor

import "runtime/debug"

// caught logs a handler's panic; true if there was one. A bug that one packet triggers should not end
// everybody's connections.
func (s *Server) caught(panicked any) bool {
	if panicked == nil {
		return false
	}
	s.counters.Panics.Add(1)
	s.log.Error("internal fault", "panic", panicked, "stack", string(debug.Stack()))
	return true
}

// attempt calls a function and reports whether it returned without a panic. It is for a caller that must go on in
// any case, so that a fault leaves nothing half done.
func (l *loop) attempt(f func()) (done bool) {
	defer func() {
		if l.server.caught(recover()) {
			l.fx.Reset()
		}
	}()
	f()
	return true
}

// contain closes a connection during whose input the server panicked. It is deferred.
func (l *loop) contain(c *conn) {
	if l.server.caught(recover()) {
		l.fx.Reset()
		c.deaf, c.reason = true, closedInternal
		l.doom(c)
	}
}
