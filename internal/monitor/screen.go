package monitor

import (
	"bytes"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
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
