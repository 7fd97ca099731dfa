package view

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gearloop/api"
	"gearloop/reactor"
	"gearloop/sched"
)

// shownFunctions is how many functions of a connection are shown.
const shownFunctions = 64

// peerRow is the sort key of a connection.
type peerRow struct {
	peer      *sched.Peer
	id        uint64
	abilities int
}

// ConnectionQuery selects and orders connections.
type ConnectionQuery struct {
	Match    string // part of the address or client id; "" = all
	Only     string // "", workers or clients
	Function string // that they can do; "" = any
	Sort     string // id (also ""), functions; a leading - reverses the order
	Limit    int    // 0 = 100; at most maxLimit
	Cursor   string
}

// Connections returns a page of connections.
func (s *Source) Connections(q ConnectionQuery) (page api.Page[api.Connection], err error) {
	limit, err := pageLimit(q.Limit)
	if err != nil {
		return page, err
	}
	order, reverse := strings.CutPrefix(q.Sort, "-")
	switch order {
	case "", "id", "functions":
	default:
		return page, badQuery("sort is %q: it must be id or functions", q.Sort)
	}
	switch q.Only {
	case "", "workers", "clients":
	default:
		return page, badQuery("only is %q: it must be workers or clients", q.Only)
	}
	after := uint64(0)
	at := 0
	if q.Cursor != "" {
		raw, err := base64.RawURLEncoding.DecodeString(q.Cursor)
		n, _ := fmt.Sscanf(string(raw), "%d %d", &at, &after)
		if err != nil || n != 2 || at < 0 {
			return page, badQuery("the cursor is not one of this list")
		}
	}
	var rows []peerRow
	walk := s.cfg.Sched.WalkPeers()
	var part []sched.PeerInfo
	for more := true; more; {
		part, more = walk.Next(part[:0])
		page.Looked += len(part)
		for i := range part {
			p := &part[i]
			isWorker := len(p.Abilities) > 0
			if q.Only == "workers" && !isWorker || q.Only == "clients" && isWorker {
				continue
			}
			if q.Function != "" && !p.Abilities.Has(q.Function) {
				continue
			}
			if q.Match != "" && !strings.Contains(addressOf(p.Peer), q.Match) && !strings.Contains(p.ClientID, q.Match) {
				continue
			}
			rows = append(rows, peerRow{p.Peer, reactor.ID(p.Peer), len(p.Abilities)})
		}
	}
	total := len(rows)
	page.Total, page.AsOf, page.Items = &total, s.cfg.Now().UTC(), []api.Connection{}
	slices.SortFunc(rows, func(a, b peerRow) int {
		n := cmp.Compare(a.id, b.id)
		if order == "functions" {
			n = cmp.Or(cmp.Compare(b.abilities, a.abilities), n)
		}
		if reverse {
			return -n
		}
		return n
	})
	byID := order != "functions" && !reverse
	if byID && q.Cursor != "" {
		at, _ = slices.BinarySearchFunc(rows, after+1, func(r peerRow, id uint64) int { return cmp.Compare(r.id, id) })
	}
	rows = rows[min(at, len(rows)):]
	if len(rows) > limit {
		rows = rows[:limit]
		page.Next = base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %d", at+limit, rows[limit-1].id))
	}
	peers := make([]*sched.Peer, len(rows))
	for i := range rows {
		peers[i] = rows[i].peer
	}
	page.Items = s.connections(peers)
	return page, nil
}

// Connection returns the connection with an id.
func (s *Source) Connection(id string) (c api.Connection, ok bool) {
	p := s.Peer(id)
	if p == nil {
		return c, false
	}
	all := s.connections([]*sched.Peer{p})
	if len(all) == 0 {
		return c, false
	}
	return all[0], true
}

// Peer returns the peer with a connection's id, or nil. It searches all of them.
func (s *Source) Peer(id string) *sched.Peer {
	number, err := strconv.ParseUint(id, 10, 64)
	if err != nil || number == 0 || s.cfg.Server == nil {
		return nil
	}
	walk := s.cfg.Sched.WalkPeers()
	var part []sched.PeerInfo
	for more := true; more; {
		part, more = walk.Next(part[:0])
		for i := range part {
			if reactor.ID(part[i].Peer) == number {
				return part[i].Peer
			}
		}
	}
	return nil
}

// connections describes peers, without those that have gone.
func (s *Source) connections(peers []*sched.Peer) []api.Connection {
	all := []api.Connection{}
	if s.cfg.Server == nil {
		return all
	}
	now := s.cfg.Now()
	stats := s.cfg.Server.Inspect(peers, patience)
	for i, p := range peers {
		st := &stats[i]
		if st.ID == 0 {
			continue
		}
		c := api.Connection{
			ID: fmt.Sprint(st.ID), Address: addressOf(p), Listener: st.Listener, TLS: st.TLS, Subject: st.Subject, Since: st.Since.UTC(),
			Received: api.Count(st.BytesIn), Sent: api.Count(st.BytesOut), Buffered: st.Buffered,
		}
		s.describe(&c, p)
		c.Jobs, c.Listening, c.Done, c.Failed = st.Work.Jobs, st.Listening, api.Count(st.Work.Done), api.Count(st.Work.Failed)
		if c.Jobs > 0 {
			c.Oldest = max(now.Sub(st.Work.Oldest), 0).Seconds()
			if c.State == "awake" {
				c.State = "busy"
			}
		}
		if !st.Work.Asked.IsZero() {
			c.LastAsked = &api.Instant{At: st.Work.Asked.UTC(), Ago: max(now.Sub(st.Work.Asked), 0).Seconds()}
		}
		all = append(all, c)
	}
	return all
}

// describe adds what the scheduler knows about a connection.
func (s *Source) describe(c *api.Connection, p *sched.Peer) {
	d := s.cfg.Sched.Peer(p, shownFunctions)
	c.ClientID, c.ClientRaw = api.Split(named(d.ClientID))
	for _, name := range d.Functions {
		if text, raw := api.Split(name); raw != nil {
			c.FunctionsBase64 = append(c.FunctionsBase64, raw)
		} else {
			c.Functions = append(c.Functions, text)
		}
	}
	c.FunctionsAll, c.State = d.FunctionsAll, d.State
	if d.Job != 0 {
		c.Job = string(s.cfg.Sched.AppendHandle(nil, d.Job))
	}
}

// addressOf returns the remote address of a connection.
func addressOf(p *sched.Peer) string {
	if !p.Addr.IsValid() {
		return "unix"
	}
	return p.Addr.String()
}
