package monitor

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"gearloop/api"
)

// The views of a screen.
const (
	viewFunctions = iota
	viewWorkers
	views
)

var viewNames = [views]string{"functions", "workers"}

// screen is the content of Top without the terminal: keys in, lines out.
type screen struct {
	source Source

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
		s.view, s.top = viewFunctions, 0
	case string(b) == "w":
		s.view, s.top = viewWorkers, 0
	case string(b) == "\t":
		s.view, s.top = (s.view+1)%views, 0
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
  q  quit           p  stop and go on refreshing    arrows, PgUp, PgDn  move
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
	if rows > room {
		foot += fmt.Sprintf(", %d to %d of %d", s.top+1, min(s.top+room, rows), rows)
	}
	if s.typing {
		foot = "filter: " + Printable(s.filter) + "_"
	} else if s.filter != "" {
		foot += ", filter " + Printable(s.filter)
	}
	if s.paused {
		foot += ", paused"
	}
	for len(lines) < height-1 {
		lines = append(lines, "")
	}
	lines = append(lines, foot+"   ? help  q quit")
	for i, l := range lines {
		if !strings.HasPrefix(l, "\x1b") {
			lines[i] = fit(l, width, false)
		}
	}
	return lines[:min(len(lines), height)]
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
	if s.err != nil {
		first += "  " + s.err.Error()
	}
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
	name := ""
	if s.view == viewFunctions {
		o := functionOrders(s.source)
		name = o[s.order[s.view]%len(o)].name
	} else {
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
	if s.now == nil {
		return nil
	}
	var b bytes.Buffer
	if s.view == viewFunctions {
		rows := sorted(s, s.now.functions, functionOrders(s.source), functionName)
		Table(&b, FunctionColumns(s.source, false), rows, true)
	} else {
		rows := sorted(s, s.now.workers, workerOrders(s.source), func(c *api.Connection) string {
			return c.Address + " " + c.ClientID + " " + strings.Join(c.Functions, " ")
		})
		Table(&b, WorkerColumns(s.source, false), rows, true)
	}
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
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
