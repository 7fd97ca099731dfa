package monitor

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gearloop/api"
)

// Column is one column of a table.
type Column[T any] struct {
	Head  string
	Right bool // numbers: aligned right
	Wide  bool // shown only on request
	Cell  func(*T) string
}

// Table writes rows under their heads, each column as wide as necessary.
func Table[T any](w io.Writer, columns []Column[T], rows []T, heads bool) error {
	widths := make([]int, len(columns))
	cells := make([][]string, len(rows))
	for i, c := range columns {
		if heads {
			widths[i] = len(c.Head)
		}
	}
	for r := range rows {
		cells[r] = make([]string, len(columns))
		for i, c := range columns {
			cells[r][i] = c.Cell(&rows[r])
			if cells[r][i] == "" && i < len(columns)-1 {
				cells[r][i] = "-" // so that every row has the same number of fields
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cells[r][i]))
		}
	}
	var line strings.Builder
	write := func(text func(i int) string) error {
		line.Reset()
		for i, c := range columns {
			if i > 0 {
				line.WriteString("  ")
			}
			t := text(i)
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(t))
			if c.Right {
				line.WriteString(pad + t)
			} else {
				line.WriteString(t + pad)
			}
		}
		_, err := fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
		return err
	}
	if heads {
		if err := write(func(i int) string { return columns[i].Head }); err != nil {
			return err
		}
	}
	for r := range rows {
		if err := write(func(i int) string { return cells[r][i] }); err != nil {
			return err
		}
	}
	return nil
}

// Printable returns a name for display: bytes that a terminal would interpret become \xNN.
func Printable(s string) string {
	plain := func(r rune) bool { return r == ' ' || unicode.IsPrint(r) }
	clean := true
	for _, r := range s {
		clean = clean && plain(r) && r != utf8.RuneError
	}
	if clean {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if plain(r) && r != utf8.RuneError {
			b.WriteRune(r)
		} else {
			for _, c := range []byte(s[i : i+n]) {
				fmt.Fprintf(&b, `\x%02x`, c)
			}
		}
		i += n
	}
	return b.String()
}

// Age formats seconds for people: 0.4s, 12s, 3m20s, 5h10m, 3d4h; "-" for none.
func Age(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d <= 0:
		return "-"
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + "s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}

// Noun returns the word for a number of things: the plural unless there is one.
func Noun[N int | int64 | uint64 | api.Count](n N, one string) string {
	if n == 1 {
		return one
	}
	return one + "s"
}

// Number formats a number with a comma after every three digits.
func Number[N int | int64 | uint64 | api.Count](n N) string {
	s := fmt.Sprint(uint64(max(n, 0)))
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// FunctionColumns returns the columns for functions, as far as the source knows them.
func FunctionColumns(s Source, wide bool) []Column[api.Function] {
	columns := []Column[api.Function]{
		{Head: "FUNCTION", Cell: func(f *api.Function) string { return Printable(api.Join(f.Name, f.NameBase64)) }},
		{Head: "WAITING", Right: true, Cell: func(f *api.Function) string { return Number(f.Waiting) }},
	}
	if s.Has(Priorities) && wide {
		columns = append(columns, Column[api.Function]{Head: "HIGH/NORMAL/LOW", Right: true, Cell: func(f *api.Function) string {
			return Number(f.High) + "/" + Number(f.Normal) + "/" + Number(f.Low)
		}}, Column[api.Function]{Head: "DELAYED", Right: true, Cell: func(f *api.Function) string { return Number(f.Delayed) }})
	}
	if s.Has(Ages) {
		columns = append(columns, Column[api.Function]{Head: "OLDEST", Right: true, Cell: func(f *api.Function) string { return Age(f.OldestWaiting) }})
	}
	columns = append(columns,
		Column[api.Function]{Head: "RUNNING", Right: true, Cell: func(f *api.Function) string { return Number(f.Running) }},
		Column[api.Function]{Head: "WORKERS", Right: true, Cell: func(f *api.Function) string { return Number(f.Workers) }})
	if s.Has(States) {
		columns = append(columns, Column[api.Function]{Head: "ASLEEP", Right: true, Cell: func(f *api.Function) string { return Number(f.Asleep) }})
	}
	if s.Has(Rates) && wide {
		columns = append(columns, Column[api.Function]{Head: "SUBMITTED", Right: true, Cell: func(f *api.Function) string { return Number(f.Submitted) }},
			Column[api.Function]{Head: "ENDED", Right: true, Cell: func(f *api.Function) string { return Number(sum(f.Ended)) }})
	}
	return append(columns, Column[api.Function]{Head: "STATE", Cell: func(f *api.Function) string { return stateText(f) }})
}

func sum(counts map[string]api.Count) (n api.Count) {
	for _, c := range counts {
		n += c
	}
	return n
}

// stateText returns a word for the special state of a function, or "".
func stateText(f *api.Function) string {
	var words []string
	if f.Paused != nil {
		words = append(words, "paused")
	}
	if f.Closed != nil {
		words = append(words, "closed")
	}
	if f.Waiting > 0 && f.Workers == 0 {
		words = append(words, "no workers")
	}
	return strings.Join(words, ", ")
}

// WorkerColumns returns the columns for workers, as far as the source knows them.
func WorkerColumns(s Source, wide bool) []Column[api.Connection] {
	columns := []Column[api.Connection]{
		{Head: "ADDRESS", Cell: func(c *api.Connection) string { return Printable(c.Address) }},
		{Head: "ID", Cell: func(c *api.Connection) string { return Printable(api.Join(c.ClientID, c.ClientRaw)) }},
	}
	if s.Has(States) {
		columns = append(columns,
			Column[api.Connection]{Head: "STATE", Cell: func(c *api.Connection) string { return c.State }},
			Column[api.Connection]{Head: "JOBS", Right: true, Cell: func(c *api.Connection) string { return Number(c.Jobs) }},
			Column[api.Connection]{Head: "FOR", Right: true, Cell: func(c *api.Connection) string { return Age(c.Oldest) }},
			Column[api.Connection]{Head: "DONE", Right: true, Cell: func(c *api.Connection) string { return Number(c.Done) }},
			Column[api.Connection]{Head: "FAILED", Right: true, Cell: func(c *api.Connection) string { return Number(c.Failed) }})
	}
	return append(columns, Column[api.Connection]{Head: "FUNCTIONS", Cell: func(c *api.Connection) string {
		const shown = 4
		names := c.Functions
		if !wide && len(names) > shown {
			names = names[:shown]
		}
		text := Printable(strings.Join(names, " "))
		if more := c.FunctionsAll - len(names); more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		return text
	}})
}

// ConnectionColumns returns the columns for connections of every kind, including the id that names each.
func ConnectionColumns(s Source, wide bool) []Column[api.Connection] {
	columns := []Column[api.Connection]{{Head: "NUMBER", Right: true, Cell: func(c *api.Connection) string { return Printable(c.ID) }}}
	columns = append(columns, WorkerColumns(s, wide)...)
	last := len(columns) - 1
	more := []Column[api.Connection]{
		{Head: "WAITS FOR", Right: true, Cell: func(c *api.Connection) string { return Number(c.Listening) }},
		{Head: "AGE", Right: true, Cell: func(c *api.Connection) string { return Age(max(time.Since(c.Since).Seconds(), 0.05)) }},
	}
	if wide {
		more = append(more,
			Column[api.Connection]{Head: "LISTENER", Cell: func(c *api.Connection) string { return Printable(c.Listener) }},
			Column[api.Connection]{Head: "RECEIVED", Right: true, Cell: func(c *api.Connection) string { return Number(c.Received) }},
			Column[api.Connection]{Head: "SENT", Right: true, Cell: func(c *api.Connection) string { return Number(c.Sent) }},
			Column[api.Connection]{Head: "BUFFERED", Right: true, Cell: func(c *api.Connection) string { return Number(c.Buffered) }},
			Column[api.Connection]{Head: "CERTIFICATE", Cell: func(c *api.Connection) string { return Printable(c.Subject) }})
	}
	return slices.Insert(columns, last, more...)
}

// JobColumns returns the columns for jobs, as far as the source knows them.
func JobColumns(s Source, now time.Time) []Column[api.Job] {
	handle := Column[api.Job]{Head: "HANDLE", Cell: func(j *api.Job) string { return Printable(j.Handle) }}
	state := Column[api.Job]{Head: "STATE", Cell: func(j *api.Job) string { return j.State }}
	if s.Has(Handles) && !s.Has(Ages) {
		return []Column[api.Job]{handle, state}
	}
	columns := []Column[api.Job]{
		{Head: "FUNCTION", Cell: func(j *api.Job) string { return Printable(api.Join(j.Function, j.FunctionBase64)) }}, state,
	}
	if s.Has(Ages) {
		columns = append(columns, handle,
			Column[api.Job]{Head: "PRIORITY", Cell: func(j *api.Job) string { return j.Priority }},
			Column[api.Job]{Head: "AGE", Right: true, Cell: func(j *api.Job) string {
				if j.Submitted == nil {
					return "-"
				}
				return Age(max(now.Sub(*j.Submitted).Seconds(), 0.05))
			}},
			Column[api.Job]{Head: "BYTES", Right: true, Cell: func(j *api.Job) string { return Number(j.ArgumentSize) }})
	}
	return append(columns,
		Column[api.Job]{Head: "WORKER", Cell: func(j *api.Job) string {
			if j.Worker == nil {
				return "-"
			}
			return Printable(j.Worker.Address)
		}},
		Column[api.Job]{Head: "LISTENERS", Right: true, Cell: func(j *api.Job) string { return Number(j.Listeners) }},
		Column[api.Job]{Head: "UNIQUE ID", Cell: func(j *api.Job) string { return Printable(api.Join(j.Unique, j.UniqueBase64)) }})
}
