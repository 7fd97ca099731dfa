package monitor

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gearloop/api"
)

// The views of a screen.
const (
	viewFunctions = iota
	viewWorkers
	viewLoops // over the API only
	views
)

var viewNames = [views]string{"functions", "workers", "event loops"}

// screen is the content of Top without the terminal: keys in, lines out.
type screen struct {
	source Source
	colour bool

	view    int
	order   [views]int // index into the orders of each view
	reverse bool
	filter  string
	typing  bool // keys edit the filter
	paused  bool
	help    bool
	top     int // first visible row

	now, before *snapshot
	err         error
	ended       bool
}

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

// query returns the query for the screen's content.
func (s *screen) query() TopQuery {
	q := TopQuery{view: s.view, reverse: s.reverse, filter: s.filter}
	if s.view == viewFunctions {
		o := functionOrders(s.source)
		q.order = o[s.order[s.view]%len(o)].name
	}
	if s.typing && s.now != nil {
		q.filter = s.now.query.filter // queried when it is complete
	}
	return q
}

// show switches to a view. A source with rates has loops.
func (s *screen) show(view int) {
	if view != viewLoops || s.source.Has(Rates) {
		s.view, s.top = view, 0
	}
}

// key handles a key.
func (s *screen) key(b []byte) {
	if s.typing {
		s.typed(b)
		return
	}
	switch {
	case bytes.Equal(b, []byte("\x1b[A")), string(b) == "k":
		s.top = max(s.top-1, 0)
	case bytes.Equal(b, []byte("\x1b[B")), string(b) == "j":
		s.top++
	case bytes.Equal(b, []byte("\x1b[5~")):
		s.top = max(s.top-20, 0)
	case bytes.Equal(b, []byte("\x1b[6~")), string(b) == " ":
		s.top += 20
	case string(b) == "q", string(b) == "\x03":
		s.ended = true
	case string(b) == "f":
		s.show(viewFunctions)
	case string(b) == "w":
		s.show(viewWorkers)
	case string(b) == "l":
		s.show(viewLoops)
	case string(b) == "\t":
		if s.view = (s.view + 1) % views; s.view == viewLoops && !s.source.Has(Rates) {
			s.view = viewFunctions
		}
		s.top = 0
	case string(b) == "s":
		s.order[s.view]++
	case string(b) == "r":
		s.reverse = !s.reverse
	case string(b) == "p":
		s.paused = !s.paused
	case string(b) == "/":
		s.typing, s.filter = true, ""
	case string(b) == "?", string(b) == "h":
		s.help = !s.help
	case string(b) == "\x1b":
		s.filter, s.help, s.top = "", false, 0
	}
}

// typed handles a key for the filter.
func (s *screen) typed(b []byte) {
	s.top = 0
	switch {
	case string(b) == "\r" || string(b) == "\n":
		s.typing = false
	case string(b) == "\x1b":
		s.typing, s.filter = false, ""
	case string(b) == "\x7f" || string(b) == "\b":
		_, n := utf8.DecodeLastRuneInString(s.filter)
		s.filter = s.filter[:len(s.filter)-n]
	case b[0] >= ' ':
		s.filter += string(b)
	}
}

// wanted reports whether a name passes the filter, which is a pattern or a part of the name.
func (s *screen) wanted(name string) bool {
	return s.filter == "" || matches(s.filter, name) || strings.Contains(name, s.filter)
}

const helpText = `
  f  functions      s  sort by the next column      /  filter: a part of the name, or a pattern with * and ?
  w  workers        r  the other way round          Esc  no filter
  l  event loops    p  stop and go on refreshing    arrows, PgUp, PgDn  move
  q  quit           (event loops by the API only)   Tab  the next of these
`

// lines returns the screen: at most height lines, none wider than width.
func (s *screen) lines(width, height int) []string {
	lines := s.head()
	if s.help {
		lines = append(lines, strings.Split(helpText, "\n")...)
	}
	table := s.table()
	rows := max(len(table)-1, 0)
	room := max(height-len(lines)-2, 0)
	s.top = max(0, min(s.top, rows-room))
	if len(table) > 0 {
		lines = append(lines, "\x1b[7m"+fit(table[0], width, true)+"\x1b[0m")
		lines = append(lines, table[1+s.top:min(1+s.top+room, len(table))]...)
	}
	foot := fmt.Sprintf("%s by %s", viewNames[s.view], s.orderName())
	if all := s.total(rows); all > room {
		foot += fmt.Sprintf(", %d to %d of %s", min(s.top+1, rows), min(s.top+room, rows), Number(all))
	}
	if s.typing {
		foot = "filter: " + Printable(s.filter) + "_"
	} else if s.filter != "" {
		foot += ", filter " + Printable(s.filter)
	}
	if s.paused {
		foot += ", paused"
	}
	lines = lines[:min(len(lines), max(height-1, 0))]
	for len(lines) < height-1 {
		lines = append(lines, "")
	}
	lines = append(lines, foot+"   ? help  q quit")
	for i, l := range lines {
		if !strings.HasPrefix(l, "\x1b") {
			lines[i] = fit(l, width, false)
		}
		if s.colour && strings.HasPrefix(l, "! ") {
			lines[i] = "\x1b[33m" + lines[i] + "\x1b[0m"
		}
	}
	return lines[:min(len(lines), height)]
}

// total returns the number of rows, of which the server may have sent only the first.
func (s *screen) total(rows int) int {
	if s.now == nil || s.source.Has(Rates) && s.view == viewWorkers && s.filter != "" {
		return rows
	}
	if s.source.Has(Rates) {
		return max(rows, s.now.total)
	}
	return rows
}

// fit cuts a line to width, or pads it.
func fit(line string, width int, fill bool) string {
	runes := []rune(line)
	if len(runes) > width {
		return string(runes[:width])
	}
	if fill {
		return line + strings.Repeat(" ", width-len(runes))
	}
	return line
}

// head returns the lines above the table.
func (s *screen) head() []string {
	if s.now == nil {
		if s.err != nil {
			return []string{"gearloop top: " + s.err.Error(), ""}
		}
		return []string{"gearloop top: asking " + s.source.String() + " …", ""}
	}
	v := &s.now.server
	first := fmt.Sprintf("%s  version %s", s.source, Printable(v.Version))
	if s.source.Has(States) {
		first += fmt.Sprintf("  %s  up %s", v.State, Age(v.Uptime))
	}
	first += "  " + s.now.at.Format(time.TimeOnly)
	t := &v.Totals
	second := fmt.Sprintf("waiting %s  running %s  functions %s", Number(t.Waiting), Number(t.Running), Number(t.Functions))
	if s.source.Has(Rates) {
		second = fmt.Sprintf("waiting %s  running %s  delayed %s  workers %s (%s asleep)  connections %s",
			Number(t.Waiting), Number(t.Running), Number(t.Delayed), Number(t.Workers), Number(t.Asleep), Number(t.Connections))
		if s.before != nil {
			span := s.now.at.Sub(s.before.at).Seconds()
			b := &s.before.server.Totals
			second += fmt.Sprintf("  submitted %s/s  ended %s/s", rate(t.Submitted, b.Submitted, span), rate(sum(t.Ended), sum(b.Ended), span))
		}
	}
	lines := []string{first, second}
	if s.err != nil {
		lines = append(lines, "! "+s.err.Error())
	}
	for i, c := range v.Attention {
		if i == 3 {
			lines = append(lines, fmt.Sprintf("! and %d more", len(v.Attention)-i))
			break
		}
		lines = append(lines, "! "+Printable(c.Text))
	}
	return append(lines, "")
}

// rate returns how much a counter grew per second.
func rate(now, before api.Count, seconds float64) string {
	if now < before || seconds <= 0 {
		return "-"
	}
	return Number(int64(float64(now-before)/seconds + 0.5))
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

// milliseconds formats a short time.
func milliseconds(seconds float64) string {
	return strconv.FormatFloat(seconds*1000, 'f', 2, 64) + "ms"
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
