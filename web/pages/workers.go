package pages

import (
	"cmp"
	"fmt"
	"net/http"

	"gearloop/api"
	"gearloop/internal/view"
)

// connectionTabs are the filters of connections, with what each is called.
var connectionTabs = [...]struct{ only, name string }{
	{"workers", "workers"}, {"busy", "busy"}, {"idle", "idle"}, {"asleep", "asleep"}, {"slow", "slow readers"},
	{"clients", "clients"}, {"all", "all"},
}

// connectionHeads are the columns of connections, with the order of each. Those with text come in ascending
// order first.
var connectionHeads = [...]struct {
	name, sort   string
	number, text bool
}{
	{name: "address", sort: "address", text: true},
	{name: "client id", sort: "client_id", text: true},
	{name: "state", sort: "state", text: true},
	{name: "functions", sort: "functions"},
	{name: "job in hand", sort: "jobs"},
	{name: "for", sort: "oldest", number: true},
	{name: "done", sort: "done", number: true},
	{name: "failed", sort: "failed", number: true},
	{name: "asleep", sort: "asleep", number: true},
	{name: "out buffer", sort: "buffered", number: true},
	{name: "since", sort: "since", number: true},
}

// sortedHead returns the head of a column. sorted is the present order, which may begin with a -; link
// returns the list in another. The first click on a head sorts by it, the second the other way round.
func sortedHead(name, sort, sorted string, number, text bool, link func(sort string) string) head {
	h := head{Name: name, Number: number}
	up, down := "descending", "ascending"
	if text {
		up, down = down, up
	}
	to := sort
	switch sorted {
	case sort:
		h.Sorted, to = up, "-"+sort
	case "-" + sort:
		h.Sorted = down
	}
	h.Link = link(to)
	return h
}

func (p *Pages) workers(w http.ResponseWriter, r *http.Request) {
	in := r.URL.Query()
	only, sort := cmp.Or(in.Get("only"), "workers"), cmp.Or(in.Get("sort"), "oldest")
	q := view.ConnectionQuery{Match: in.Get("match"), Only: only, Sort: sort, Limit: rowsShown, Cursor: in.Get("cursor")}
	if only == "all" {
		q.Only = ""
	}
	list, err := p.cfg.Source.Connections(q)
	if err != nil {
		p.failed(w, r, err)
		return
	}
	data := struct {
		Root             string
		Connections      api.Page[api.Connection]
		Match, Only, Sub string
		Sort             string // that was asked for; "" for the usual one
		Tabs             []link
		Heads            []head
		Next, Found      string
		Can              bool
	}{Root: root(r), Connections: list, Match: q.Match, Only: only, Sort: in.Get("sort"), Can: p.can(r)}
	if list.Total != nil {
		data.Found = number(*list.Total)
	}
	t := p.cfg.Source.Totals()
	data.Sub = fmt.Sprintf("%s, %s, %s of them asleep", numberOf(t.Connections, "connection"), numberOf(t.Workers, "worker"), number(t.Asleep))
	for _, t := range connectionTabs {
		data.Tabs = append(data.Tabs, link{t.name, "workers?" + query("match", q.Match, "only", t.only, "sort", data.Sort), t.only == only})
	}
	for _, h := range connectionHeads {
		data.Heads = append(data.Heads, sortedHead(h.name, h.sort, sort, h.number, h.text, func(sort string) string {
			return "workers?" + query("match", q.Match, "only", only, "sort", sort)
		}))
	}
	if list.Next != "" {
		data.Next = "workers?" + query("match", q.Match, "only", only, "sort", data.Sort, "cursor", list.Next)
	}
	p.show(w, r, http.StatusOK, "workers", "Workers", q.Cursor == "", data)
}
