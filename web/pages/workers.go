package pages

import (
	"cmp"
	"fmt"
	"net/http"

	"gearloop/api"
	"gearloop/internal/view"
)

func (p *Pages) workers(w http.ResponseWriter, r *http.Request) {
	in := r.URL.Query()
	q := view.ConnectionQuery{Match: in.Get("match"), Only: cmp.Or(in.Get("only"), "workers"), Limit: rowsShown, Cursor: in.Get("cursor")}
	if q.Only == "all" {
		q.Only = ""
	}
	list, err := p.cfg.Source.Connections(q)
	if err != nil {
		p.failed(w, r, err)
		return
	}
	data := struct {
		Root        string
		Connections api.Page[api.Connection]
		Match, Sub  string
		Tabs        []link
		Next        string
		Can         bool
	}{Root: root(r), Connections: list, Match: q.Match, Can: p.can(r)}
	t := p.cfg.Source.Totals()
	data.Sub = fmt.Sprintf("%s connections, %s workers asleep", number(t.Connections), number(t.Asleep))
	only := cmp.Or(q.Only, "all")
	for _, t := range [...]string{"workers", "clients", "all"} {
		data.Tabs = append(data.Tabs, link{t, "workers?" + query("match", q.Match, "only", t), only == t})
	}
	if list.Next != "" {
		data.Next = "workers?" + query("match", q.Match, "only", only, "cursor", list.Next)
	}
	p.show(w, r, http.StatusOK, "workers", "Workers", q.Cursor == "", data)
}
