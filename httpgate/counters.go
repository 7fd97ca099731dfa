package httpgate

import "sync/atomic"

// counters counts rejected requests by reason.
type counters struct {
	Foreign atomic.Int64 // another site's page or name: 403
	Full    atomic.Int64 // too many requests: 503

	Function    atomic.Int64 // too many of one function: 503
	Client      atomic.Int64 // too many of one client: 503
	Connections atomic.Int64 // too many connections of one client: 503
	Unclaimed   atomic.Int64 // no worker got the job in time: 504
}

// of returns the counter for a rejection by enter.
func (c *counters) of(refused *failure) *atomic.Int64 {
	switch refused {
	case &errFunction:
		return &c.Function
	case &errClient:
		return &c.Client
	}
	return &c.Full
}

// Count is one of a Gate's counters.
type Count struct {
	Name string
	N    int64
}

// Counts returns the number of requests under way and of rejected requests since the start, by reason.
func (g *Gate) Counts() []Count {
	return []Count{
		{"HTTP request", int64(g.underWay())},
		{"HTTP fault: foreign page or host", g.counters.Foreign.Load()},
		{"HTTP fault: too many requests", g.counters.Full.Load()},
		{"HTTP fault: too many requests of one function", g.counters.Function.Load()},
		{"HTTP fault: too many requests of one client", g.counters.Client.Load()},
		{"HTTP fault: too many connections of one client", g.counters.Connections.Load()},
		{"HTTP fault: no worker in time", g.counters.Unclaimed.Load()},
	}
}

// turnAway counts a rejected request. It logs the 1st, 2nd, 4th, 8th and so on of each kind. attributes are
// added to the log line after the client's address.
func (g *Gate) turnAway(n *atomic.Int64, why failure, client string, attributes ...any) {
	if times := n.Add(1); times&(times-1) == 0 { // 1st, 2nd, 4th, 8th ...
		g.cfg.Log.Warn("HTTP: turned away", append([]any{"status", why.status, "reason", why.text, "times", times,
			"client", client}, attributes...)...)
	}
}
