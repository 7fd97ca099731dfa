package view

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"gearloop/api"
	"gearloop/reactor"
	"gearloop/sched"
)

// shownFunctions is how many functions of a connection are shown.
const shownFunctions = 64

// slowFrom is how much output must wait for its peer to count as a slow reader, in bytes: such connections
// are written to last.
const slowFrom = 64 << 10

// peerRow is a connection with all that it can be sorted and selected by. A snapshot has one for each connection, so
// it must stay short beside the connection itself (BenchmarkSurvey).
type peerRow struct {
	peer         *sched.Peer
	id           uint64
	since        int64 // ns
	clientID     string
	state        string // see api.Connection
	functions    int32
	jobs         int32
	buffered     int
	done, failed uint64
	oldest       time.Duration // that it has had its oldest job
	asleep       time.Duration // that it has slept; 0: it does not
}

// ConnectionQuery selects and orders connections.
type ConnectionQuery struct {
	Match    string // part of the address or client id; "" = all
	Only     string // "" or a key of connectionFilters
	Function string // that they can do; "" = any
	Sort     string // "" (id) or a key of connectionOrders; a leading - reverses the order
	Limit    int    // 0 = 100; at most maxLimit
	Cursor   string
}

// connectionFilters are the values of ConnectionQuery.Only.
var connectionFilters = map[string]func(*peerRow) bool{
	"":        func(*peerRow) bool { return true },
	"workers": func(r *peerRow) bool { return r.functions > 0 },
	"clients": func(r *peerRow) bool { return r.functions == 0 },
	"busy":    func(r *peerRow) bool { return r.jobs > 0 },
	"asleep":  func(r *peerRow) bool { return r.state == "asleep" },
	"idle":    func(r *peerRow) bool { return r.functions > 0 && r.jobs == 0 && r.state != "asleep" },
	"slow":    func(r *peerRow) bool { return r.buffered >= slowFrom },
}

// connectionOrders are the values of ConnectionQuery.Sort: by text and id the smallest comes first, by
// everything else the largest.
var connectionOrders = map[string]func(a, b *peerRow) int{
	"id":        func(*peerRow, *peerRow) int { return 0 }, // which decides where all else is equal
	"address":   func(a, b *peerRow) int { return a.peer.Addr.Compare(b.peer.Addr) },
	"client_id": func(a, b *peerRow) int { return strings.Compare(a.clientID, b.clientID) },
	"state":     func(a, b *peerRow) int { return strings.Compare(a.state, b.state) },
	"functions": func(a, b *peerRow) int { return cmp.Compare(b.functions, a.functions) },
	"jobs":      func(a, b *peerRow) int { return cmp.Compare(b.jobs, a.jobs) },
	"oldest":    func(a, b *peerRow) int { return cmp.Compare(b.oldest, a.oldest) },
	"done":      func(a, b *peerRow) int { return cmp.Compare(b.done, a.done) },
	"failed":    func(a, b *peerRow) int { return cmp.Compare(b.failed, a.failed) },
	"asleep":    func(a, b *peerRow) int { return cmp.Compare(b.asleep, a.asleep) },
	"buffered":  func(a, b *peerRow) int { return cmp.Compare(b.buffered, a.buffered) },
	"since":     func(a, b *peerRow) int { return cmp.Compare(a.since, b.since) },
}

// Connections returns a page of connections.
func (s *Source) Connections(q ConnectionQuery) (page api.Page[api.Connection], err error) {
	limit, err := pageLimit(q.Limit)
	if err != nil {
		return page, err
	}
	order, reverse := strings.CutPrefix(q.Sort, "-")
	order = cmp.Or(order, "id")
	compare, keep := connectionOrders[order], connectionFilters[q.Only]
	if compare == nil {
		return page, badQuery("sort is %q: it must be one of %s", q.Sort, names(connectionOrders))
	}
	if keep == nil {
		return page, badQuery("only is %q: it must be one of %s", q.Only, names(connectionFilters))
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
	all, made := s.allPeers()
	rows := all.rows
	page.Looked, page.AsOf = len(rows), made.UTC()
	var found []int32 // places in rows
	for i := range rows {
		r := &rows[i]
		if keep(r) && (q.Match == "" || strings.Contains(addressOf(r.peer), q.Match) || strings.Contains(r.clientID, q.Match)) &&
			(q.Function == "" || s.cfg.Sched.CanDo(r.peer, q.Function)) {
			found = append(found, int32(i))
		}
	}
	if all.whole {
		total := len(found)
		page.Total = &total
	}
	byID := order == "id" && !reverse
	inOrder := func(i, k int32) int {
		a, b := &rows[i], &rows[k]
		n := cmp.Or(compare(a, b), cmp.Compare(a.id, b.id))
		if reverse {
			return -n
		}
		return n
	}
	if byID {
		slices.SortFunc(found, inOrder)
		if q.Cursor != "" {
			at, _ = slices.BinarySearchFunc(found, after+1, func(i int32, id uint64) int { return cmp.Compare(rows[i].id, id) })
		}
	} else {
		found = first(found, at+limit+1, inOrder)
	}
	found = found[min(at, len(found)):]
	if len(found) > limit {
		found = found[:limit]
		page.Next = base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %d", at+limit, rows[found[limit-1]].id))
	}
	peers := make([]*sched.Peer, len(found))
	for i, place := range found {
		peers[i] = rows[place].peer
	}
	page.Items = s.connections(peers)
	return page, nil
}

// names returns the keys of a table, but for the empty one, for an error message.
func names[T any](table map[string]T) string {
	all := slices.DeleteFunc(slices.Sorted(maps.Keys(table)), func(name string) bool { return name == "" })
	return strings.Join(all, ", ")
}

// allPeers returns all connections, and when that was.
func (s *Source) allPeers() (peerSnapshot, time.Time) {
	all, made := s.peers.get(s.cfg.Now(), s.survey)
	if len(all.rows) < shareFrom {
		s.peers.drop()
	}
	return all, made
}

// peerSnapshot is all connections in no particular order.
type peerSnapshot struct {
	rows  []peerRow
	whole bool // no loop was too late to answer
}

// survey asks the loops for all connections.
func (s *Source) survey() peerSnapshot {
	if s.cfg.Server == nil {
		return peerSnapshot{whole: true}
	}
	peers := make([]*sched.Peer, 0, s.cfg.Sched.Count().Peers)
	scan := s.cfg.Sched.ScanPeers()
	for more := true; more; {
		peers, more = scan.Next(peers)
	}
	now := s.cfg.Now()
	rows := make([]peerRow, 0, len(peers))
	whole := s.cfg.Server.Survey(peers, s.patience, func(p *sched.Peer, b *reactor.Brief) {
		w := &b.Work
		r := peerRow{
			peer: p, id: b.ID, since: b.Since.UnixNano(), clientID: named(w.ClientID), state: stateOf(w.State, w.Jobs),
			functions: int32(w.Functions), jobs: int32(w.Jobs), buffered: b.Buffered, done: w.Done, failed: w.Failed,
		}
		if w.Jobs > 0 {
			r.oldest = max(now.Sub(w.Oldest), 0)
		}
		if w.State == "asleep" && !w.Asked.IsZero() {
			r.asleep = max(now.Sub(w.Asked), 0)
		}
		rows = append(rows, r)
	})
	return peerSnapshot{rows, whole}
}

// stateOf returns the state of a connection as the API has it.
func stateOf(state string, jobs int) string {
	if state == "awake" && jobs > 0 {
		return "busy"
	}
	return state
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
	var part []*sched.Peer
	scan := s.cfg.Sched.ScanPeers()
	for more := true; more; {
		part, more = scan.Next(part[:0])
		for _, p := range part {
			if reactor.ID(p) == number {
				return p
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
	stats := s.cfg.Server.Inspect(peers, s.patience)
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
		}
		c.State = stateOf(c.State, c.Jobs)
		if !st.Work.Asked.IsZero() {
			c.LastAsked = &api.Instant{At: st.Work.Asked.UTC(), Ago: max(now.Sub(st.Work.Asked), 0).Seconds()}
			if c.State == "asleep" {
				c.Asleep = c.LastAsked.Ago
			}
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
