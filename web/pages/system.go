package pages

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"

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
	t := table{Title: "What operators have done", Heads: []string{"at", "by", "action", "target", "result", "reason"}, Empty: "Nothing since the start."}
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
	memory.Facts = append(memory.Facts, fact{"Go heap", size(m.Heap)}, fact{"resident", size(m.RSS)}, fact{"limit for jobs", size(m.Limit)})
	data.Cards = append(data.Cards, memory)
	if st, ok := p.store(r); ok {
		state := "well"
		if !st.Up {
			state = st.Error
		}
		data.Cards = append(data.Cards, card{"Store", []fact{
			{"state", state}, {"directory", cmp.Or(st.Directory, "–")}, {"sync", st.Sync}, {"jobs", number(st.Jobs)}, {"live", size(st.Live)},
			{"on disk", size(st.Disk)}, {"free", size(st.Free)}, {"waits to be written", size(st.Queued)}, {"segments", number(st.Segments)},
			{"sync p50, p99", ms(st.SyncP50) + ", " + ms(st.SyncP99)}, {"failures", number(st.Failures)},
		}})
	}
	refused := card{Title: "Submissions refused"}
	for why, n := range data.Server.Totals.Refused {
		refused.Facts = append(refused.Facts, fact{why, number(n)})
	}
	sortFacts(refused.Facts)
	data.Cards = append(data.Cards, refused)
	loops := table{Title: "Event loops", Heads: []string{"loop", "connections", "turns", "packets", "writes", "lag", "lag p99", "turn p99", "output that waits"}}
	for _, l := range s.Loops() {
		loops.Rows = append(loops.Rows, []string{
			strconv.Itoa(l.Index), number(l.Connections), short(l.Turns), short(l.Packets), short(l.Writes),
			ms(l.Lag), ms(l.LagP99), ms(l.TurnP99), size(l.Buffered),
		})
	}
	listeners := table{Title: "Listeners", Heads: []string{"address", "kind"}}
	for _, l := range data.Server.Listeners {
		listeners.Rows = append(listeners.Rows, []string{l.Address, l.Kind})
	}
	loops.Numbers = true
	data.Tables = []table{loops, listeners}
	if c, shared := s.Cluster(r.Context()); shared {
		data.Cards = append(data.Cards, clusterCard(&c))
		data.Tables = append(clusterTables(&c), data.Tables...)
	}
	if guard.From(r.Context()).Role >= guard.Reader {
		data.Tables = append(data.Tables, p.auditTable())
		given := table{Title: "Options that were given", Heads: []string{"option", "value", "from"}, Empty: "None: all have their defaults."}
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

func sortFacts(all []fact) {
	slices.SortFunc(all, func(a, b fact) int { return strings.Compare(a.Name, b.Name) })
}
