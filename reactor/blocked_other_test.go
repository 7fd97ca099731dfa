//go:build !linux

package reactor

// blocked returns the number of connections that wait until their socket accepts more output.
func (r *rig) blocked() (n int) {
	r.server.onEachLoop(func(l *loop) bool {
		for c := range l.conns {
			if c.blocked {
				n++
			}
		}
		return false
	})
	return n
}
