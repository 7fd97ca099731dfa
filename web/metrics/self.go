package metrics

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"gearloop/internal/histogram"
	"gearloop/web"
	"gearloop/web/action"
)

// writeSelf writes what is counted of the operator's side.
func (m *Metrics) writeSelf(w *writer) {
	if m.cfg.Reloaded != nil {
		at, ok := m.cfg.Reloaded()
		w.begin(reloadOK)
		if ok {
			w.count(1)
		} else {
			w.count(0)
		}
		w.begin(reloadTime)
		w.sample(float64(at.UnixMilli()) / 1000)
	}
	if m.cfg.Actions != nil {
		done := m.cfg.Actions()
		w.begin(actions)
		for _, d := range slices.SortedFunc(maps.Keys(done), func(a, b action.Done) int {
			return cmp.Or(cmp.Compare(a.Action, b.Action), cmp.Compare(a.Result, b.Result))
		}) {
			w.count(done[d], d.Action, d.Result)
		}
	}
	if m.cfg.Streams != nil {
		w.begin(streams)
		w.count(uint64(m.cfg.Streams()))
	}
	if m.cfg.Traffic == nil {
		return
	}
	count, times := m.cfg.Traffic.Counts()
	w.begin(requests)
	for _, r := range slices.SortedFunc(maps.Keys(count), func(a, b web.Request) int {
		return cmp.Or(cmp.Compare(a.Class, b.Class), cmp.Compare(a.Status, b.Status))
	}) {
		w.count(count[r], r.Class, strconv.Itoa(r.Status))
	}
	w.begin(requestTime)
	for _, class := range sortedKeys(times) {
		h := times[class]
		w.times(&h, histogram.Turns, class)
	}
}
