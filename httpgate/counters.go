package httpgate

import (
	"net/http"
	"sync/atomic"
)

// counters counts requests that were turned away, by reason.
type counters struct {
	Foreign atomic.Int64 // another site's page or name: 403
	Full    atomic.Int64 // too many requests: 503
}

// Count is one of a Gate's numbers.
type Count struct {
	Name string
	N    int64
}

// Counts returns the requests that are under way, and how many have been turned away since the start, by reason.
func (g *Gate) Counts() []Count {
	return []Count{
		{"HTTP request", int64(g.Active())},
		{"HTTP fault: foreign page or host", g.counters.Foreign.Load()},
		{"HTTP fault: too many requests", g.counters.Full.Load()},
	}
}

// turnAway counts a request that is answered with why, and logs it unless there have been many of the kind.
func (g *Gate) turnAway(n *atomic.Int64, why failure, r *http.Request) {
	if times := n.Add(1); times&(times-1) == 0 { // 1st, 2nd, 4th, 8th ...
		g.cfg.Log.Warn("HTTP: request turned away", "status", why.status, "reason", why.text, "times", times,
			"client", r.RemoteAddr, "host", r.Host, "origin", r.Header.Get("Origin"))
	}
}
