package pages

import (
	"cmp"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gearloop/api"
	"gearloop/internal/monitor"
	"gearloop/web/static"
)

// words are the templates' functions.
var words = template.FuncMap{
	"asset": static.Name, "show": visible, "number": number, "short": short, "age": age, "since": since,
	"bytes": size, "sum": sum, "bad": bad, "share": share, "states": states, "settings": settings, "worst": worst, "ends": ends,
	"some": func(rates map[string]float64, name string) bool { return rates[name] > 0 },
	"join": api.Join, "lower": strings.ToLower,
	"key":         func(page string) string { return strings.ToLower(page[:1]) }, // as in app.js
	"concernLink": concernLink,
	"rate":        func(rates map[string]float64, name string) string { return short(api.Count(max(rates[name], 0) + 0.5)) },
	"segment":     segment, "oneOf": oneOf, "clock": func(t time.Time) string { return t.Local().Format(time.TimeOnly) },
	"stamp":  func(t *time.Time) string { return stamp(*t) },
	"stampv": stamp, "spark": spark, "meter": newMeter, "jobClass": jobClass, "peerClass": peerClass,
	"rateOf": rateOf, "failShare": failShare, "failedOf": failedOf, "p99": p99, "duration": duration, "until": until, "place": place, "gap": gap, "bound": bound,
	"rfc":     func(t *time.Time) string { return t.UTC().Format(time.RFC3339) },
	"at":      func(t time.Time) *time.Time { return &t },
	"attempt": func(j api.Job) int { return j.Retries + 1 },
	"fname":   func(f api.Function) string { return api.Join(f.Name, f.NameBase64) },
	"jname":   func(j api.Job) string { return api.Join(j.Function, j.FunctionBase64) },
	"uname":   func(j api.Job) string { return api.Join(j.Unique, j.UniqueBase64) },
	"cname":   func(c api.Connection) string { return api.Join(c.ClientID, c.ClientRaw) },
	"first1":  func(names []string) []string { return names[:min(1, len(names))] },
	"more1":   func(n int) int { return max(n-1, 0) },
	"sinceIt": func(t time.Time) string { return since(&t) },
}

// visible returns a name for display as monitor.Printable does, in quotes if one could not see where it
// begins and ends.
func visible(name string) string {
	text := monitor.Printable(name)
	if strings.TrimSpace(text) != text {
		return "“" + text + "”"
	}
	return text
}

func stamp(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// number formats a number with a comma after every three digits.
func number(n any) string {
	switch n := n.(type) {
	case int:
		return monitor.Number(n)
	case int64:
		return monitor.Number(n)
	case api.Count:
		return monitor.Number(n)
	}
	return fmt.Sprint(n)
}

// short formats a count with three or four digits: 8,420, 12.3k, 4.56M.
func short(c api.Count) string {
	f := float64(c)
	for _, u := range []struct {
		from float64
		unit string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e4, "k"}} {
		if f >= u.from {
			unit := u.from
			if u.unit == "k" {
				unit = 1e3
			}
			return fmt.Sprintf("%.3g%s", f/unit, u.unit)
		}
	}
	return monitor.Number(c)
}

// age formats a time in seconds, "–" for none.
func age(seconds float64) string {
	if seconds <= 0 {
		return "–"
	}
	return monitor.Age(seconds)
}

func since(t *time.Time) string {
	if t == nil {
		return "–"
	}
	return age(max(time.Since(*t).Seconds(), 0.01))
}

// until formats how long it is until a moment.
func until(t *time.Time) string {
	if t == nil {
		return "–"
	}
	if left := time.Until(*t).Seconds(); left > 0 {
		return monitor.Age(left)
	}
	return "now"
}

// gap says how long ago a moment was, or how long it is until then.
func gap(t *time.Time) string {
	if d := time.Since(*t).Seconds(); d >= 0 {
		return monitor.Age(max(d, 0.01)) + " ago"
	}
	return "in " + until(t)
}

// place returns the place of a row in a queue, "–" if it is not known how many jobs come before the first
// row.
func place(before, row int) string {
	if before < 0 {
		return "–"
	}
	return number(before + row + 1)
}

// size formats a number of bytes.
func size(n any) string {
	var f float64
	switch n := n.(type) {
	case int:
		f = float64(n)
	case int64:
		f = float64(n)
	}
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if f < 1024 || unit == "GiB" {
			if unit == "B" {
				return fmt.Sprintf("%.0f %s", f, unit)
			}
			return fmt.Sprintf("%.1f %s", f, unit)
		}
		f /= 1024
	}
	return ""
}

func sum(counts map[string]api.Count) (n api.Count) {
	for _, c := range counts {
		n += c
	}
	return n
}

// bad returns how many ended jobs failed.
func bad(counts map[string]api.Count) (n api.Count) {
	for _, word := range []string{"fail", "exception", "timeout", "worker_lost"} {
		n += counts[word]
	}
	return n
}

func share(part, whole api.Count) string {
	if whole == 0 {
		return "–"
	}
	if part == 0 {
		return "0 %"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(whole))
}

// word is a state as a word, with the class that styles it.
type word struct {
	Word, Class string
	Brief       string // who and since when
	Whole       string // also until when and why
}

// settings describes the operators' settings of a function.
func settings(f api.Function) (all []word) {
	add := func(name string, set *api.Setting) {
		if set == nil {
			return
		}
		w := word{Word: name, Class: "warn"}
		by := cmp.Or(set.By, "somebody")
		w.Brief = "by " + by + ", " + since(&set.Since)
		w.Whole = "by " + by + " " + since(&set.Since) + " ago, at " + stamp(set.Since)
		if set.Until == nil {
			w.Whole += ", until somebody ends it"
		} else {
			w.Whole += ", until " + stamp(*set.Until)
		}
		if set.Reason != "" {
			w.Whole += ": " + set.Reason
		}
		all = append(all, w)
	}
	add("paused", f.Paused)
	add("closed", f.Closed)
	return all
}

// states describes the state of a function.
func states(f api.Function) (all []word) {
	all = settings(f)
	if f.Waiting > 0 && f.Workers == 0 {
		all = append(all, word{Word: "no workers", Class: "bad"})
	}
	if full(f) {
		all = append(all, word{Word: "queue full", Class: "warn"})
	}
	if f.Lately != nil && sum(f.Lately.Failed) >= fewFailures && sum(f.Lately.Failed)*failingPart >= f.Lately.Ended {
		all = append(all, word{Word: "failing", Class: "bad"})
	}
	switch {
	case len(all) > 0:
	case f.Running > 0:
		all = append(all, word{Word: "working"})
	case f.Waiting > 0:
		all = append(all, word{Word: "waiting", Class: "idle"})
	default:
		all = append(all, word{Word: "idle", Class: "idle"})
	}
	return all
}

// A function is failing when so many of its jobs failed lately, and at least one of so many that ended, as
// among what needs attention.
const (
	fewFailures = 5
	failingPart = 10
)

// full reports whether a function's queue takes no more jobs of some priority.
func full(f api.Function) bool {
	return slices.ContainsFunc(f.MaxQueue, func(n int) bool { return n >= 0 && f.Total >= n })
}

// bound describes the bounds of a function's queue: one number, or those of high, normal and low.
func bound(f api.Function) string {
	if len(f.MaxQueue) == 0 {
		return "–"
	}
	var all []string
	for _, n := range f.MaxQueue {
		text := "–"
		if n >= 0 {
			text = number(n)
		}
		all = append(all, text)
	}
	if len(slices.Compact(slices.Clone(all))) == 1 {
		return all[0]
	}
	return strings.Join(all, "/")
}

// rateOf returns how many jobs of a function end per second, "–" if that is not known yet.
func rateOf(f api.Function) string {
	if f.Rate == nil {
		return "–"
	}
	return plain(*f.Rate)
}

// failShare returns which share of a function's jobs failed lately, "–" if none ended.
func failShare(f api.Function) string {
	if f.Lately == nil {
		return "–"
	}
	return share(sum(f.Lately.Failed), f.Lately.Ended)
}

// failedOf says what failShare is the share of.
func failedOf(f api.Function) string {
	if f.Lately == nil {
		return "not known yet"
	}
	return fmt.Sprintf("%s of %s jobs that ended in the last %s", number(sum(f.Lately.Failed)), number(f.Lately.Ended), monitor.Age(f.Lately.Seconds))
}

func p99(f api.Function) string {
	if f.Lately == nil || f.Lately.Wait == nil {
		return "–"
	}
	return duration(f.Lately.Wait.P99)
}

// duration formats a short time in seconds.
func duration(seconds float64) string {
	switch {
	case seconds < 1:
		return plain(1000*seconds) + " ms"
	case seconds < 60:
		return plain(seconds) + " s"
	}
	return monitor.Age(seconds)
}

func jobClass(state string) string {
	if state == api.JobRunning {
		return ""
	}
	return "idle"
}

func peerClass(state string) string {
	if state == "busy" || state == "awake" || state == "woken" {
		return ""
	}
	return "idle"
}

func worst(c api.Concern) bool {
	return slices.Contains([]string{"no_workers", "store", "memory"}, c.Kind)
}

// ends returns the action that ends an operator's setting, "" if there is none.
func ends(c api.Concern) string {
	return map[string]string{"paused": "resume", "closed": "open"}[c.Kind]
}

// concernLink returns the path of the function that a concern is about, behind it what it is asked to do; ""
// if it is about none.
func concernLink(c api.Concern, rest ...string) template.URL {
	name := api.Join(c.Function, c.FunctionBase64)
	if name == "" {
		return ""
	}
	return template.URL(api.Path(append([]string{"functions", name}, rest...)...))
}

// segment returns what stands behind functions/ in the path of a function's page. Nothing in it can end an
// attribute.
func segment(name string) template.URL {
	return template.URL(strings.TrimPrefix(api.Path("functions", name), "functions/"))
}

// oneOf returns a handle or an id as a segment of a path.
func oneOf(id string) template.URL { return template.URL(url.PathEscape(id)) }

// named returns the function that a request is about. Paths of earlier versions have a = before a name that
// browsers would change.
func named(r *http.Request) string {
	name := r.PathValue("name")
	if query := r.URL.Query(); name == api.Named && query.Has("name") {
		return query.Get("name")
	}
	return strings.TrimPrefix(name, "=")
}

// sparkline is a small chart, 60 by 20; nil where there are not two values yet.
type sparkline struct{ Area, Line string }

func spark(values []int) *sparkline {
	if len(values) < 2 {
		return nil
	}
	most, step := float64(max(slices.Max(values), 1)), 60/float64(len(values)-1)
	var line strings.Builder
	for i, v := range values {
		command := 'L'
		if i == 0 {
			command = 'M'
		}
		fmt.Fprintf(&line, "%c%.1f %.1f", command, float64(i)*step, 19-17*float64(v)/most)
	}
	return &sparkline{Area: line.String() + "L60 20L0 20Z", Line: line.String()}
}

// gauge is a fraction of a whole.
type gauge struct {
	Percent int
	Bad     bool
}

func newMeter(part, whole int64) gauge {
	p := int(100 * part / max(whole, 1))
	return gauge{Percent: min(max(p, 0), 100), Bad: p >= 90}
}

// fact is a name and its value.
type fact struct{ Name, Value string }

func ms(seconds float64) string { return strconv.FormatFloat(1000*seconds, 'f', 1, 64) + " ms" }
