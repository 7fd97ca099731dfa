package pages

import (
	"fmt"
	"net/http"
	"strconv"

	"gearloop/api"
	"gearloop/internal/view"
)

func (p *Pages) overview(w http.ResponseWriter, r *http.Request) {
	list, err := p.functionList(r, view.FunctionQuery{Only: "jobs", Sort: "oldest", Limit: 10}, false)
	if err != nil {
		p.failed(w, r, err)
		return
	}
	list.Empty = "No job waits or runs."
	data := struct {
		functionList
		Server api.Server
		Rates  map[string]float64 // in the last second
		Charts []Chart
		Spans  []link
		Can    bool
		Loops  []fact
		Store  []fact
		Turn   string // p99 of the loops' turns
		Lag    string // p99 of the loops' lag
		Sync   string // p99 of the store's syncs; "" without a store
		Used   string // file descriptors
		Limit  string
	}{functionList: list, Server: p.cfg.Source.Server(), Can: p.can(r)}
	turn, lag := 0.0, 0.0
	for _, l := range p.cfg.Source.Loops() {
		turn, lag = max(turn, l.TurnP99), max(lag, l.LagP99)
		data.Loops = append(data.Loops, fact{"loop " + strconv.Itoa(l.Index),
			fmt.Sprintf("%s, turn p99 %s, lag p99 %s", numberOf(l.Connections, "connection"), ms(l.TurnP99), ms(l.LagP99))})
	}
	data.Turn, data.Lag = ms(turn), ms(lag)
	files := p.cfg.Source.Descriptors()
	data.Used, data.Limit = number(files.Used), number(files.Limit)
	if st, ok := p.store(r); ok {
		data.Sync = ms(st.SyncP99)
		state := "well"
		if !st.Up {
			state = st.Error
		}
		data.Store = []fact{{"state", state}, {"jobs", number(st.Jobs)}, {"on disk", size(st.Disk)}, {"sync p99", ms(st.SyncP99)}}
	}
	if views(r) {
		data.Server = view.ServerForViewer(data.Server)
	}
	data.Rates, data.Charts, data.Spans = p.past(r)
	p.show(w, r, http.StatusOK, "overview", "Overview", true, data)
}

// spans are the ranges of charts, by the step of their points in seconds.
var spans = [...]struct {
	step int
	name string
}{{1, "10 minutes"}, {10, "6 hours"}, {300, "7 days"}}

// past returns the data of charts: the requested span, and the rates of the last second.
func (p *Pages) past(r *http.Request) (rates map[string]float64, charts []Chart, choice []link) {
	step := spans[0].step
	for _, s := range spans {
		if r.URL.Query().Get("span") == strconv.Itoa(s.step) {
			step = s.step
		}
	}
	for _, s := range spans {
		choice = append(choice, link{s.name, "./?span=" + strconv.Itoa(s.step), s.step == step})
	}
	seconds, _ := p.cfg.Source.History(1) // empty before the first look
	rates = map[string]float64{}
	for name, values := range seconds.Series {
		if len(values) > 0 {
			rates[name] = values[len(values)-1]
		}
	}
	h, err := p.cfg.Source.History(step)
	if err != nil || len(h.Times) < 2 {
		return rates, nil, choice
	}
	const milli = 1000
	for _, c := range [...]struct {
		id, title string
		factor    float64
		series    [][2]string
	}{
		{"rates", "Jobs per second", 1, [][2]string{
			{"submitted", api.SeriesSubmitted}, {"ended", api.SeriesEnded}, {"failed", api.SeriesFailed},
		}},
		{"waits", "Time that jobs wait, in milliseconds", milli, [][2]string{{"p50", api.SeriesWaitP50}, {"p99", api.SeriesWaitP99}}},
		{"there", "Jobs", 1, [][2]string{{"waiting", api.SeriesWaiting}, {"running", api.SeriesRunning}}},
		{"loops", "Lag of event loops, p99, in milliseconds", milli, [][2]string{{"lag", api.SeriesLagP99}}},
	} {
		chart := Chart{ID: c.id, Title: c.title, Times: h.Times}
		for _, s := range c.series {
			values := make([]float64, len(h.Times))
			for i, v := range h.Series[s[1]] {
				values[i] = v * c.factor
			}
			chart.Series, chart.Values = append(chart.Series, s[0]), append(chart.Values, values)
		}
		charts = append(charts, chart)
	}
	return rates, charts, choice
}
