package view

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"gearloop/api"
	"gearloop/internal/glob"
	"gearloop/sched"
)

// functionRow is the sort key of a function: some 100 bytes.
type functionRow struct {
	name                            string
	waiting, high, running, workers int32
	maxQueue                        int32 // the lowest bound of its queue; below 0: none
	paused, closed                  bool
	oldest                          time.Duration // age of its oldest job
	past                            failures      // since it is known
}

// FunctionQuery selects and orders functions.
type FunctionQuery struct {
	Match  string // a name, or a pattern with * and ?; "" = all
	Only   string // "", jobs, no_workers, paused, closed, failing (lately)
	Sort   string // name (also "") or another of functionOrders or functionKeys; a leading - reverses the order
	Limit  int    // 0 = 100; at most maxLimit
	Cursor string
}

// functionOrders compare rows; all except name sort the largest first.
var functionOrders = map[string]func(a, b *functionRow) int{
	"name":      func(a, b *functionRow) int { return strings.Compare(a.name, b.name) },
	"waiting":   func(a, b *functionRow) int { return cmp.Compare(b.waiting, a.waiting) },
	"oldest":    func(a, b *functionRow) int { return cmp.Compare(b.oldest, a.oldest) },
	"running":   func(a, b *functionRow) int { return cmp.Compare(b.running, a.running) },
	"workers":   func(a, b *functionRow) int { return cmp.Compare(b.workers, a.workers) },
	"ended":     func(a, b *functionRow) int { return cmp.Compare(b.past.ended, a.past.ended) },
	"failed":    func(a, b *functionRow) int { return cmp.Compare(b.past.failed(), a.past.failed()) },
	"high":      func(a, b *functionRow) int { return cmp.Compare(b.high, a.high) },
	"max_queue": func(a, b *functionRow) int { return cmp.Compare(b.maxQueue, a.maxQueue) },
	"state":     func(a, b *functionRow) int { return cmp.Compare(b.severity(), a.severity()) },
}

// severity orders functions by what they are in: the worst has the highest.
func (f *functionRow) severity() int {
	for i, is := range [...]bool{f.waiting > 0 && f.workers == 0, f.paused, f.closed, f.running > 0, f.waiting > 0} {
		if is {
			return -i
		}
	}
	return -len("jobs")
}

// functionKeys are further orders, by numbers that not every row has; the largest comes first.
var functionKeys = map[string]func(*Source, []functionRow) []float64{
	"asleep":     (*Source).asleepOf,
	"rate":       (*Source).ratesOf,
	"fail_share": (*Source).shares,
	"wait_p99":   (*Source).waitsP99,
}

// functionSorts are the names of all orders.
func functionSorts() string {
	all := slices.AppendSeq(slices.Collect(maps.Keys(functionKeys)), maps.Keys(functionOrders))
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// QueryError is an error in a query.
type QueryError struct{ text string }

func (e *QueryError) Error() string { return e.text }

func badQuery(format string, args ...any) error { return &QueryError{fmt.Sprintf(format, args...)} }

// Functions returns a page of functions.
func (s *Source) Functions(q FunctionQuery) (page api.Page[api.Function], err error) {
	order, reverse := strings.CutPrefix(q.Sort, "-")
	order = cmp.Or(order, "name")
	rows, keys := functionOrders[order], functionKeys[order]
	if rows == nil && keys == nil {
		return page, badQuery("sort is %q: it must be one of %s", q.Sort, functionSorts())
	}
	keep := functionFilters[q.Only]
	if keep == nil && q.Only != "failing" {
		return page, badQuery("only is %q: it must be jobs, no_workers, paused, closed or failing", q.Only)
	}
	if len(q.Match) > maxPattern {
		return page, badQuery("match has %d bytes, the most is %d", len(q.Match), maxPattern)
	}
	limit, err := pageLimit(q.Limit)
	if err != nil {
		return page, err
	}
	at, after, err := parseFunctionCursor(q.Cursor)
	if err != nil {
		return page, err
	}
	s.WatchFunctions()
	snap, made := s.snapshot()
	page.Looked, page.AsOf = len(snap.rows), made.UTC()
	meant := func(i int32) bool { return keep(&snap.rows[i]) }
	if q.Only == "failing" {
		lately, _ := s.failures.lately(snap.rows, s.cfg.Started, 1)
		meant = func(i int32) bool { return lately[i].failed() > 0 }
	}
	match := glob.New(q.Match)
	var found []int32 // indices in snap.rows
	for _, i := range snap.inOrder(order == "name") {
		if meant(i) && match.Match(snap.rows[i].name) {
			found = append(found, i)
		}
	}
	total := len(found)
	page.Total = &total
	switch {
	case order != "name":
		compare := func(a, b int32) int { return rows(&snap.rows[a], &snap.rows[b]) }
		if keys != nil {
			values := keys(s, snap.rows)
			compare = func(a, b int32) int { return cmp.Compare(values[b], values[a]) }
		}
		found = first(found, at+limit+1, func(a, b int32) int {
			n := compare(a, b)
			if reverse {
				n = -n
			}
			return cmp.Or(n, strings.Compare(snap.rows[a].name, snap.rows[b].name))
		})
	case reverse:
		slices.Reverse(found)
	case after != nil: // by name a cursor stays valid while functions come and go
		at, _ = slices.BinarySearchFunc(found, *after, func(i int32, name string) int { return strings.Compare(snap.rows[i].name, name) })
		if at < len(found) && snap.rows[found[at]].name == *after {
			at++
		}
	}
	found = found[min(at, len(found)):]
	page.Items = make([]api.Function, 0, min(limit, len(found)))
	for i, row := range found {
		if i == limit {
			page.Next = functionCursor(order == "name" && !reverse, at+limit, snap.rows[found[i-1]].name)
			break
		}
		if f, ok := s.Function(snap.rows[row].name); ok {
			page.Items = append(page.Items, f)
		}
	}
	return page, nil
}

var functionFilters = map[string]func(*functionRow) bool{
	"":           func(*functionRow) bool { return true },
	"jobs":       func(f *functionRow) bool { return f.waiting+f.running > 0 },
	"no_workers": func(f *functionRow) bool { return f.waiting > 0 && f.workers == 0 },
	"paused":     func(f *functionRow) bool { return f.paused },
	"closed":     func(f *functionRow) bool { return f.closed },
}

func pageLimit(n int) (int, error) {
	if n < 0 || n > maxLimit {
		return 0, badQuery("limit is %d: it must be from 1 to %d", n, maxLimit)
	}
	return cmp.Or(n, defaultLimit), nil
}

// functionCursor is where a list continues: behind a name, or at an index of another order.
func functionCursor(byName bool, at int, name string) string {
	text := fmt.Sprintf("@%d", at)
	if byName {
		text = "=" + name
	}
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

func parseFunctionCursor(cursor string) (at int, after *string, err error) {
	if cursor == "" {
		return 0, nil, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	text := string(raw)
	if name, ok := strings.CutPrefix(text, "="); ok && err == nil {
		return 0, &name, nil
	}
	if n, _ := fmt.Sscanf(text, "@%d", &at); err != nil || n != 1 || at < 0 {
		return 0, nil, badQuery("the cursor is not one of this list")
	}
	return at, nil, nil
}

// functionSnapshot is all functions at a moment. Several requests use it.
type functionSnapshot struct {
	rows  []functionRow
	once  sync.Once
	order []int32 // of rows by name, once somebody has asked for it
}

// inOrder returns the indices of all rows, by name or in no order.
func (s *functionSnapshot) inOrder(byName bool) []int32 {
	if byName {
		s.once.Do(func() {
			s.order = numbersTo(len(s.rows))
			slices.SortFunc(s.order, func(a, b int32) int { return strings.Compare(s.rows[a].name, s.rows[b].name) })
		})
		return s.order
	}
	return numbersTo(len(s.rows))
}

// numbersTo returns 0 to n-1.
func numbersTo(n int) []int32 {
	all := make([]int32, n)
	for i := range all {
		all[i] = int32(i)
	}
	return all
}

// first returns the first n of some indices in order, which takes less than to sort all of them when n is
// small. It may reorder what it is given.
func first(all []int32, n int, compare func(a, b int32) int) []int32 {
	if n <= 0 {
		return nil
	}
	if n < len(all)/8 {
		// A heap of the first n so far, the last of them on top.
		top := all[:n]
		down := func(i int) {
			for {
				child := 2*i + 1
				if child >= n {
					return
				}
				if child+1 < n && compare(top[child+1], top[child]) > 0 {
					child++
				}
				if compare(top[child], top[i]) <= 0 {
					return
				}
				top[i], top[child] = top[child], top[i]
				i = child
			}
		}
		for i := n/2 - 1; i >= 0; i-- {
			down(i)
		}
		for _, p := range all[n:] {
			if compare(p, top[0]) < 0 {
				top[0] = p
				down(0)
			}
		}
		all = top
	}
	slices.SortFunc(all, compare)
	return all[:min(n, len(all))]
}

// snapshot returns all functions, and when that was.
func (s *Source) snapshot() (*functionSnapshot, time.Time) {
	all, made := s.functions.get(s.cfg.Now(), s.functionRows)
	if len(all.rows) < shareFrom {
		s.functions.drop()
	}
	return all, made
}

// functionRows walks through all functions.
func (s *Source) functionRows() *functionSnapshot {
	now := s.cfg.Now()
	last := int(s.functionCount.Load())
	snap := &functionSnapshot{rows: make([]functionRow, 0, last+last/8)}
	var part []sched.FunctionStats
	walk := s.cfg.Sched.ScanFunctions()
	for more := true; more; {
		part, more = walk.Next(part[:0])
		for i := range part {
			f := &part[i]
			row := functionRow{
				name: f.Name, running: int32(f.Running), workers: int32(f.Workers), past: failuresOf(&f.Counters),
				high: int32(f.Waiting[0] - f.Delayed[0]), maxQueue: lowest(&f.MaxQueue),
			}
			row.paused, row.closed = f.Paused != nil, f.Closed != nil
			for p, n := range f.Waiting {
				row.waiting += int32(n - f.Delayed[p])
			}
			if !f.Oldest.IsZero() {
				row.oldest = max(now.Sub(f.Oldest), 0)
			}
			snap.rows = append(snap.rows, row)
		}
	}
	s.functionCount.Store(int64(len(snap.rows)))
	return snap
}

// failed returns the number of jobs that failed, for whatever reason.
func failed(c *sched.Counters) uint64 {
	return c.Ended[sched.Fail] + c.Ended[sched.Exception] + c.Ended[sched.Timeout] + c.Ended[sched.WorkerLost]
}

// setting converts a setting, nil for none.
func setting(set *sched.Setting) *api.Setting {
	if set == nil {
		return nil
	}
	return &api.Setting{By: set.By, Since: set.Since.UTC(), Until: moment(set.Until), Reason: set.Reason}
}

// Idle returns a function that has neither jobs nor workers, for programs that ask about functions which come
// and go, such as scalers.
func Idle(name string) (f api.Function) {
	f.Name, f.NameBase64 = api.Split(name)
	f.Ended = ended(&sched.Counters{})
	return f
}

// Function returns one function.
func (s *Source) Function(name string) (f api.Function, ok bool) {
	st, ok := s.cfg.Sched.FunctionStats(name)
	if !ok {
		return f, false
	}
	f.Name, f.NameBase64 = api.Split(st.Name)
	ready := [sched.Priorities]int{}
	for p, n := range st.Waiting {
		ready[p] = n - st.Delayed[p]
		f.Waiting += ready[p]
		f.Delayed += st.Delayed[p]
	}
	f.High, f.Normal, f.Low = ready[0], ready[1], ready[2]
	f.Total, f.Running, f.Workers = st.Total, st.Running, st.Workers
	f.Paused, f.Closed = setting(st.Paused), setting(st.Closed)
	workers := s.Workers()[name]
	f.Asleep, f.Busy = workers.Asleep, workers.Busy
	if slices.ContainsFunc(st.MaxQueue[:], func(n int32) bool { return n >= 0 }) {
		for _, n := range st.MaxQueue {
			f.MaxQueue = append(f.MaxQueue, int(max(n, -1)))
		}
	}
	if !st.Oldest.IsZero() {
		f.OldestWaiting = max(s.cfg.Now().Sub(st.Oldest), 0).Seconds()
	}
	c := &st.Counters
	f.Submitted, f.Background, f.Coalesced = api.Count(c.Foreground+c.Background), api.Count(c.Background), api.Count(c.Coalesced)
	f.HandedOut, f.PutBack, f.HeldBack, f.Ended = api.Count(c.HandedOut), api.Count(c.PutBack), api.Count(c.HeldBack), ended(c)
	past := failuresOf(c)
	f.Rate, f.Lately = s.rate(name, &past), s.latelyOf(name, &past)
	if s.watcher.on.Load() {
		f.Recent = s.recent.show(name, past.ended, s.cfg.Now())
	}
	return f, true
}

// lowest returns the lowest bound of a function's queue; below 0: it has none.
func lowest(bounds *[sched.Priorities]int32) int32 {
	least := int32(-1)
	for _, n := range bounds {
		if n >= 0 && (least < 0 || n < least) {
			least = n
		}
	}
	return least
}
