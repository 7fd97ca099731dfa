package reactor

import (
	"sync/atomic"

	"gearloop/admin"
	"gearloop/internal/payload"
	"gearloop/sched"
)

// Counters count faults of peers since the start.
type Counters struct {
	BadMagic     atomic.Int64 // input that is neither a frame nor a line
	HTTP         atomic.Int64 // HTTP requests, possibly from web pages
	TooLarge     atomic.Int64 // frames over --max-packet
	LinesTooLong atomic.Int64
	NoMemory     atomic.Int64 // frames for which --max-memory had no room
	CutOff       atomic.Int64 // peers that did not read: over --max-outbound, or under pressure
	Stalled      atomic.Int64 // peers that stopped inside a packet for too long
	DeadPeers    atomic.Int64 // peers whose machine did not answer, see Config.DeadPeerAfter
	Handshakes   atomic.Int64 // TLS handshakes that failed, HandshakesLate included
	Headers      atomic.Int64 // PROXY headers that were malformed, missing, or not from Config.Proxies
	AcceptErrors atomic.Int64
	Waited       atomic.Int64 // connections that had to wait for a slot
	TurnedAway   atomic.Int64 // connections that found no room to wait
	Panics       atomic.Int64

	HandshakesDone atomic.Int64 // TLS handshakes that succeeded
	HandshakesLate atomic.Int64 // TLS handshakes that took too long
}

// Counters returns the counts of peers' faults.
func (s *Server) Counters() *Counters { return &s.counters }

// objects returns the counts of the server's own objects and of peers' faults.
func (s *Server) objects() []admin.Objects {
	buffers, bytes := payload.InUse()
	_, waiting := s.slots.count()
	all := []admin.Objects{
		{Name: "connection", Count: int(s.connections.Load())},
		{Name: "connection half closed", Count: s.halfClosed.count()},
		{Name: "connection waiting", Count: waiting},
		{Name: "timer", Count: s.clock.count()},
		{Name: "buffer", Count: int(buffers)},
		{Name: "byte of buffers", Count: int(bytes)},
		{Name: "byte of output", Count: int(s.buffered())},
		{Name: "fault: bad magic", Count: int(s.counters.BadMagic.Load())},
		{Name: "fault: HTTP request", Count: int(s.counters.HTTP.Load())},
		{Name: "fault: packet too large", Count: int(s.counters.TooLarge.Load())},
		{Name: "fault: line too long", Count: int(s.counters.LinesTooLong.Load())},
		{Name: "fault: no memory for packet", Count: int(s.counters.NoMemory.Load())},
		{Name: "fault: packet stalled", Count: int(s.counters.Stalled.Load())},
		{Name: "fault: peer does not read", Count: int(s.counters.CutOff.Load())},
		{Name: "fault: peer does not answer", Count: int(s.counters.DeadPeers.Load())},
		{Name: "fault: TLS handshake failed", Count: int(s.counters.Handshakes.Load())},
		{Name: "fault: accept failed", Count: int(s.counters.AcceptErrors.Load())},
		{Name: "fault: no slot for connection", Count: int(s.counters.Waited.Load())},
		{Name: "fault: connection turned away", Count: int(s.counters.TurnedAway.Load())},
		{Name: "fault: internal", Count: int(s.counters.Panics.Load())},
	}
	if len(s.cfg.Proxies) > 0 {
		all = append(all, admin.Objects{Name: "fault: PROXY header", Count: int(s.counters.Headers.Load())})
	}
	for reason, n := range s.cfg.Sched.Counters().Refused {
		all = append(all, admin.Objects{Name: "fault: submission refused, " + sched.Refusal(reason).String(), Count: int(n)})
	}
	for _, r := range s.RefusedRights() {
		all = append(all, admin.Objects{Name: "fault: no right to " + r.Right, Count: int(r.Count)})
	}
	return all
}

// HandshakesBy returns how many TLS handshakes had each result: ok, timeout or failed.
func (c *Counters) HandshakesBy() map[string]int64 {
	late := c.HandshakesLate.Load() // first, as it is part of the other
	return map[string]int64{"ok": c.HandshakesDone.Load(), "timeout": late, "failed": c.Handshakes.Load() - late}
}
