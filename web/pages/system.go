package pages

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"gearloop/api"
	"gearloop/internal/view"
	"gearloop/web/guard"
)

type card struct {
	Title string
	Facts []fact
}

type table struct {
	Title   string
	Heads   []string
	Rows    [][]string
	Numbers bool   // all but the first column are numbers
	Empty   string // what is said when there are no rows
}

// auditShown is how many entries of the audit log stand on the page of the system.
const auditShown = 20

// auditTable returns what operators have done last.
func (p *Pages) auditTable() table {
	t := table{
		Title: "What operators have done", Heads: []string{"at", "by", "action", "target", "result", "reason"},
		Empty: "Nothing since the start.",
	}
	if p.cfg.Actions == nil {
		return t
	}
	for _, e := range p.cfg.Actions.Audit(auditShown) {
		result := e.Result
		if e.Count > 0 {
			result += ", " + jobs(e.Count)
		}
		t.Rows = append(t.Rows, []string{stamp(e.At), e.By + " (" + e.Role + ")", e.Action, e.Target, result, e.Reason})
	}
	return t
}

func (p *Pages) system(w http.ResponseWriter, r *http.Request) {
	s := p.cfg.Source
	data := struct {
		Server   api.Server
		Cards    []card
		Tables   []table
		Defaults *table // options, for those who may see them
	}{Server: s.Server()}
	if views(r) {
		data.Server = view.ServerForViewer(data.Server)
	}
	m := s.Memory()
	memory := card{Title: "Memory"}
	for name, n := range m.Parts {
		memory.Facts = append(memory.Facts, fact{name, size(n)})
	}
	sortFacts(memory.Facts)
	memory.Facts = append(memory.Facts,
		fact{"Go heap", size(m.Heap)}, fact{"resident", size(m.RSS)}, fact{"limit for jobs", size(m.Limit)})
	data.Cards = append(data.Cards, memory)
	if st, ok := p.store(r); ok {
		state := "well"
		if !st.Up {
			state = st.Error
		}
		facts := []fact{
			{"state", state}, {"directory", cmp.Or(st.Directory, "–")}, {"sync", st.Sync},
			{"jobs", number(st.Jobs)}, {"live", size(st.Live)}, {"on disk", size(st.Disk)}, {"free", size(st.Free)},
			{"waits to be written", size(st.Queued)}, {"segments", number(st.Segments)},
			{"sync p50, p99", ms(st.SyncP50) + ", " + ms(st.SyncP99)}, {"written", size(int64(st.Written))},
			{"loaded in", ms(st.LoadTime)},
		}
		if st.Failures == 0 {
			facts = append(facts, fact{"failures", "none"})
		}
		for _, op := range slices.Sorted(maps.Keys(st.FailuresBy)) {
			if k := st.FailuresBy[op]; k > 0 {
				facts = append(facts, fact{"failures: " + op, number(k)})
			}
		}
		data.Cards = append(data.Cards, card{"Store", facts})
	}
	n := s.Network()
	if views(r) {
		n = view.NetworkForViewer(n)
	}
	data.Cards = append(data.Cards,
		process(&n, data.Server.Totals.Connections),
		counts("Submissions refused", data.Server.Totals.Refused),
		counts("Errors sent, by code", n.Errors),
		counts("Connections that have ended", n.Closed),
	)
	loops := table{Title: "Event loops", Heads: []string{
		"loop", "runs", "connections", "turns", "packets", "writes", "lag", "lag p99", "turn p99", "output that waits",
	}}
	for _, l := range s.Loops() {
		runs := "yes"
		if !l.Running {
			runs = "no"
		}
		loops.Rows = append(loops.Rows, []string{
			strconv.Itoa(l.Index), runs, number(l.Connections), short(l.Turns), short(l.Packets), short(l.Writes),
			ms(l.Lag), ms(l.LagP99), ms(l.TurnP99), size(l.Buffered),
		})
	}
	listeners := table{Title: "Listeners", Heads: []string{"address", "kind", "connections accepted"}}
	for _, l := range data.Server.Listeners {
		accepted := "–"
		if k, ok := n.Accepted[l.Kind+":"+l.Address]; ok {
			accepted = number(k)
		}
		listeners.Rows = append(listeners.Rows, []string{l.Address, l.Kind, accepted})
	}
	loops.Numbers = true
	data.Tables = []table{loops, listeners}
	if c, shared := s.Cluster(r.Context()); shared {
		if views(r) {
			c = view.ClusterForViewer(c)
		}
		data.Cards = append(data.Cards, clusterCard(&c))
		data.Tables = append(clusterTables(&c), data.Tables...)
	}
	if len(n.Certificates) > 0 {
		data.Tables = append(data.Tables, certificates(n.Certificates, data.Server.Now))
	}
	if guard.From(r.Context()).Role >= guard.Reader {
		data.Tables = append(data.Tables, p.auditTable())
		given := table{
			Title: "Options that were given", Heads: []string{"option", "value", "from"}, Empty: "None: all have their defaults.",
		}
		data.Defaults = &table{Title: "Options with their defaults", Heads: given.Heads}
		for _, o := range s.Options() {
			t := &given
			if o.Source == "default" {
				t = data.Defaults
			}
			t.Rows = append(t.Rows, []string{o.Name, o.Value, o.Source})
		}
		data.Tables = append(data.Tables, given)
	}
	p.show(w, r, http.StatusOK, "system", "System", true, data)
}

// counts returns a card of counters that have counted something.
func counts(title string, all map[string]api.Count) card {
	c := card{Title: title}
	for name, n := range all {
		if n > 0 {
			c.Facts = append(c.Facts, fact{name, number(n)})
		}
	}
	sortFacts(c.Facts)
	if len(c.Facts) == 0 {
		c.Facts = []fact{{"none", "since the start"}}
	}
	return c
}

// process returns the card of what the process has of the system.
func process(n *api.Network, connections int) card {
	c := card{"Network", []fact{
		{"file descriptors", descriptors(n.Descriptors)}, {"connections", number(connections)},
		{"received", size(int64(n.Received))}, {"sent", size(int64(n.Sent))},
	}}
	for _, result := range [...]string{"ok", "failed", "timeout"} {
		if k := n.Handshakes[result]; k > 0 {
			c.Facts = append(c.Facts, fact{"TLS handshakes: " + result, number(k)})
		}
	}
	return c
}

// descriptors says how many file descriptors are in use, and of how many.
func descriptors(d api.Descriptors) string {
	used := "–"
	if d.Used > 0 {
		used = number(d.Used)
	}
	return used + " of " + number(d.Limit)
}

// certificates returns the table of certificates with the time that each has left.
func certificates(all []api.Certificate, now time.Time) table {
	t := table{Title: "Certificates", Heads: []string{"file", "expires", "in"}}
	for _, c := range all {
		left := "expired"
		if d := c.Expires.Sub(now); d > 0 {
			left = age(d.Seconds())
		}
		t.Rows = append(t.Rows, []string{cmp.Or(c.File, "–"), stamp(c.Expires), left})
	}
	return t
}

func sortFacts(all []fact) {
	slices.SortFunc(all, func(a, b fact) int { return strings.Compare(a.Name, b.Name) })
}
