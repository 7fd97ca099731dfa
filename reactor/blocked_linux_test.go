package reactor

// blocked returns the number of connections that wait until their socket accepts more output.
func (r *rig) blocked() int {
	w := r.server.writable
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.conns)
}
