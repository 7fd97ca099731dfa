package monitor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"gearloop/api"
)

// Status is the exit status of a check, as monitoring plugins define it.
type Status int

// The statuses.
const (
	OK Status = iota
	Warning
	Critical
	Unknown
)

var statusNames = [...]string{"OK", "WARNING", "CRITICAL", "UNKNOWN"}

func (s Status) String() string { return statusNames[s] }

// Check says what is acceptable. Negative bounds are ignored.
type Check struct {
	Function    string // a name, or a pattern with * and ?; "" = all
	Exists      bool   // no matching function is critical
	WaitingWarn int    // waiting jobs of a function that cause a warning
	WaitingCrit int
	AgeWarn     float64 // seconds that the oldest job of a function has waited
	AgeCrit     float64
	WorkersWarn int // workers of a function below which to warn
	WorkersCrit int
}

// Finding is a problem with one function.
type Finding struct {
	Function string `json:"function"`
	Status   Status `json:"-"`
	Word     string `json:"status"`
	Text     string `json:"text"`
}

// Result is the result of a check.
type Result struct {
	Status    Status         `json:"-"`
	Word      string         `json:"status"`
	Text      string         `json:"text"`
	Findings  []Finding      `json:"findings"` // worst first
	Functions []api.Function `json:"functions"`
}

// Run checks the functions of a server.
func (c *Check) Run(ctx context.Context, s Source) Result {
	functions, err := s.Functions(ctx, c.Function)
	if err != nil {
		return Result{Status: Critical, Word: Critical.String(), Text: err.Error()}
	}
	if (c.AgeWarn >= 0 || c.AgeCrit >= 0) && !s.Has(Ages) {
		return Result{Status: Unknown, Word: Unknown.String(),
			Text: "the text protocol does not tell how long jobs wait: ask a Gearloop's API (--admin-socket or --server http://HOST:PORT)"}
	}
	r := Result{Functions: functions}
	for i := range functions {
		r.Findings = append(r.Findings, c.look(&functions[i])...)
	}
	if len(functions) == 0 && c.Exists {
		r.Findings = append(r.Findings, Finding{c.Function, Critical, "", "no function matches " + c.Function})
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return cmp.Compare(b.Status, a.Status) })
	var texts []string
	for i := range r.Findings {
		f := &r.Findings[i]
		f.Word = f.Status.String()
		r.Status = max(r.Status, f.Status)
		texts = append(texts, f.Text)
	}
	if r.Text = strings.Join(texts, "; "); r.Text == "" {
		r.Text = c.wellSaid(functions)
	}
	r.Word = r.Status.String()
	return r
}

func (c *Check) wellSaid(functions []api.Function) string {
	waiting, running := 0, 0
	for _, f := range functions {
		waiting += f.Waiting
		running += f.Running
	}
	return fmt.Sprintf("%d %s, %d %s waiting, %d running", len(functions), Noun(len(functions), "function"), waiting, Noun(waiting, "job"), running)
}

func (c *Check) look(f *api.Function) (found []Finding) {
	name := Printable(api.Join(f.Name, f.NameBase64))
	add := func(status Status, format string, args ...any) {
		found = append(found, Finding{name, status, "", name + ": " + fmt.Sprintf(format, args...)})
	}
	over := func(value, warn, crit float64, format string, args ...any) {
		switch {
		case crit >= 0 && value >= crit:
			add(Critical, format, args...)
		case warn >= 0 && value >= warn:
			add(Warning, format, args...)
		}
	}
	over(float64(f.Waiting), float64(c.WaitingWarn), float64(c.WaitingCrit), "%d %s waiting", f.Waiting, Noun(f.Waiting, "job"))
	over(f.OldestWaiting, c.AgeWarn, c.AgeCrit, "the oldest job waits %s", Age(f.OldestWaiting))
	switch {
	case c.WorkersCrit >= 0 && f.Workers < c.WorkersCrit:
		add(Critical, "%d %s", f.Workers, Noun(f.Workers, "worker"))
	case c.WorkersWarn >= 0 && f.Workers < c.WorkersWarn:
		add(Warning, "%d %s", f.Workers, Noun(f.Workers, "worker"))
	}
	return found
}

// Nagios returns the line that monitoring plugins print: status, text, and numbers after a bar.
func (r *Result) Nagios(c *Check) string {
	bound := func(n int) string {
		if n < 0 {
			return ""
		}
		return fmt.Sprint(n)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "GEARMAN %s - %s", r.Status, strings.ReplaceAll(r.Text, "|", "/"))
	for i, f := range r.Functions {
		if i == 0 {
			b.WriteString(" |")
		}
		label := strings.NewReplacer("'", "''", "=", "_", "|", "/").Replace(Printable(api.Join(f.Name, f.NameBase64)))
		fmt.Fprintf(&b, " '%s_waiting'=%d;%s;%s;0 '%s_running'=%d '%s_worker'=%d", label, f.Waiting, bound(c.WaitingWarn), bound(c.WaitingCrit),
			label, f.Running, label, f.Workers)
	}
	return b.String()
}
