package monitor

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gearloop/api"
)

// order is a way to sort rows.
type order[T any] struct {
	name    string
	compare func(a, b *T) int
}

func functionName(f *api.Function) string { return api.Join(f.Name, f.NameBase64) }

// functionOrders returns the ways to sort functions, the most useful first.
func functionOrders(s Source) []order[api.Function] {
	orders := []order[api.Function]{
		{"waiting", func(a, b *api.Function) int { return cmp.Compare(b.Waiting, a.Waiting) }},
		{"running", func(a, b *api.Function) int { return cmp.Compare(b.Running, a.Running) }},
		{"workers", func(a, b *api.Function) int { return cmp.Compare(b.Workers, a.Workers) }},
		{"name", func(a, b *api.Function) int { return cmp.Compare(functionName(a), functionName(b)) }},
	}
	if s.Has(Ages) {
		oldest := order[api.Function]{"oldest", func(a, b *api.Function) int { return cmp.Compare(b.OldestWaiting, a.OldestWaiting) }}
		orders = slices.Insert(orders, 1, oldest)
	}
	if s.Has(Rates) {
		orders = slices.Insert(orders, len(orders)-1,
			order[api.Function]{"ended", func(a, b *api.Function) int { return cmp.Compare(sum(b.Ended), sum(a.Ended)) }},
			order[api.Function]{"failed", func(a, b *api.Function) int { return cmp.Compare(failed(b.Ended), failed(a.Ended)) }})
	}
	return orders
}

func workerOrders(s Source) []order[api.Connection] {
	orders := []order[api.Connection]{
		{"address", func(a, b *api.Connection) int { return cmp.Compare(a.Address, b.Address) }},
		{"functions", func(a, b *api.Connection) int { return cmp.Compare(b.FunctionsAll, a.FunctionsAll) }},
	}
	if s.Has(States) {
		oldest := order[api.Connection]{"longest job", func(a, b *api.Connection) int { return cmp.Compare(b.Oldest, a.Oldest) }}
		orders = slices.Insert(orders, 0, oldest)
	}
	return orders
}

// loopOrders returns the only way to sort loops.
func loopOrders(Source) []order[api.Loop] {
	return []order[api.Loop]{{"number", func(a, b *api.Loop) int { return cmp.Compare(a.Index, b.Index) }}}
}

func (s *screen) orderName() string {
	name := "number"
	switch s.view {
	case viewFunctions:
		o := functionOrders(s.source)
		name = o[s.order[s.view]%len(o)].name
	case viewWorkers:
		o := workerOrders(s.source)
		name = o[s.order[s.view]%len(o)].name
	}
	if s.reverse {
		name += " (the other way round)"
	}
	return name
}

// sorted returns the rows that pass the filter, sorted. It does not change the snapshot.
func sorted[T any](s *screen, all []T, orders []order[T], name func(*T) string) (rows []T) {
	for i := range all {
		if s.wanted(name(&all[i])) {
			rows = append(rows, all[i])
		}
	}
	compare := orders[s.order[s.view]%len(orders)].compare
	slices.SortStableFunc(rows, func(a, b T) int {
		if s.reverse {
			return compare(&b, &a)
		}
		return compare(&a, &b)
	})
	return rows
}

// table returns the rows that pass the filter, sorted, with their heads.
func (s *screen) table() []string {
	if s.now == nil || s.now.query.view != s.view {
		return nil
	}
	var b bytes.Buffer
	switch s.view {
	case viewFunctions:
		rows := sorted(s, s.now.functions, functionOrders(s.source), functionName)
		Table(&b, s.functionColumns(), rows, true)
	case viewLoops:
		rows := sorted(s, s.now.loops, loopOrders(s.source), func(*api.Loop) string { return s.filter })
		Table(&b, s.loopColumns(), rows, true)
	default:
		rows := sorted(s, s.now.workers, workerOrders(s.source), func(c *api.Connection) string {
			return c.Address + " " + c.ClientID + " " + strings.Join(c.Functions, " ")
		})
		Table(&b, WorkerColumns(s.source, false), rows, true)
	}
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
}

// functionColumns returns the columns of functions, with rates since the last look if the source has
// counters.
func (s *screen) functionColumns() []Column[api.Function] {
	columns := FunctionColumns(s.source, false)
	if !s.source.Has(Rates) {
		return columns
	}
	before, span := map[string]*api.Function{}, 0.0
	if s.before != nil {
		span = s.now.at.Sub(s.before.at).Seconds()
		for i := range s.before.functions {
			before[functionName(&s.before.functions[i])] = &s.before.functions[i]
		}
	}
	per := func(head string, count func(*api.Function) api.Count) Column[api.Function] {
		return Column[api.Function]{Head: head, Right: true, Cell: func(f *api.Function) string {
			b := before[functionName(f)]
			if b == nil {
				return "-"
			}
			return rate(count(f), count(b), span)
		}}
	}
	return slices.Insert(columns, len(columns)-1,
		per("SUBMITTED/s", func(f *api.Function) api.Count { return f.Submitted }),
		per("ENDED/s", func(f *api.Function) api.Count { return sum(f.Ended) }),
		per("FAILED/s", func(f *api.Function) api.Count { return failed(f.Ended) }))
}

// loopColumns returns the columns of event loops.
func (s *screen) loopColumns() []Column[api.Loop] {
	before, span := map[int]*api.Loop{}, 0.0
	if s.before != nil {
		span = s.now.at.Sub(s.before.at).Seconds()
		for i := range s.before.loops {
			before[s.before.loops[i].Index] = &s.before.loops[i]
		}
	}
	number := func(head string, n func(*api.Loop) int64) Column[api.Loop] {
		return Column[api.Loop]{Head: head, Right: true, Cell: func(l *api.Loop) string { return Number(n(l)) }}
	}
	per := func(head string, count func(*api.Loop) api.Count) Column[api.Loop] {
		return Column[api.Loop]{Head: head, Right: true, Cell: func(l *api.Loop) string {
			b := before[l.Index]
			if b == nil {
				return "-"
			}
			return rate(count(l), count(b), span)
		}}
	}
	length := func(head string, seconds func(*api.Loop) float64) Column[api.Loop] {
		return Column[api.Loop]{Head: head, Right: true, Cell: func(l *api.Loop) string { return milliseconds(seconds(l)) }}
	}
	return []Column[api.Loop]{
		{Head: "LOOP", Right: true, Cell: func(l *api.Loop) string { return fmt.Sprint(l.Index) }},
		{Head: "RUNS", Cell: func(l *api.Loop) string {
			if l.Running {
				return "yes"
			}
			return "no"
		}},
		number("CONNECTIONS", func(l *api.Loop) int64 { return int64(l.Connections) }),
		per("TURNS/s", func(l *api.Loop) api.Count { return l.Turns }),
		per("READS/s", func(l *api.Loop) api.Count { return l.Reads }),
		per("PACKETS/s", func(l *api.Loop) api.Count { return l.Packets }),
		per("WRITES/s", func(l *api.Loop) api.Count { return l.Writes }),
		per("MAIL/s", func(l *api.Loop) api.Count { return l.Mail }),
		length("LAG", func(l *api.Loop) float64 { return l.Lag }),
		length("LAG P99", func(l *api.Loop) float64 { return l.LagP99 }),
		length("TURN P99", func(l *api.Loop) float64 { return l.TurnP99 }),
		number("BUFFERED", func(l *api.Loop) int64 { return l.Buffered }),
	}
}

// rate returns how much a counter grew per second.
func rate(now, before api.Count, seconds float64) string {
	if now < before || seconds <= 0 {
		return "-"
	}
	return Number(int64(float64(now-before)/seconds + 0.5))
}

// milliseconds formats a short time.
func milliseconds(seconds float64) string {
	return strconv.FormatFloat(seconds*1000, 'f', 2, 64) + "ms"
}
