package pages

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"gearloop/api"
	"gearloop/internal/monitor"
	"gearloop/web"
	"gearloop/web/guard"
)

// argumentShown is how many bytes of an argument a job's page shows.
const argumentShown = 4 << 10

// argument is the beginning of a job's argument for display.
type argument struct {
	Text      string
	Size      int
	Truncated bool
	Hex       bool
	Raw       string
}

func (p *Pages) job(w http.ResponseWriter, r *http.Request) {
	handle := r.PathValue("handle")
	j, ok := p.cfg.Source.Job(handle)
	if !ok {
		p.missing(w, r, fmt.Sprintf("there is no job %q: it has ended, or never was", monitor.Printable(handle)))
		return
	}
	data := struct {
		Root         string
		Gone         bool // the worker alone has the argument
		Job          api.Job
		Causes       []api.Cause
		Can          bool
		Actions      []button
		ShowArgument bool
		Argument     *argument
	}{Root: root(r), Job: j, Can: p.can(r), Actions: jobButtons(&j)}
	if p.cfg.Explain != nil {
		data.Causes = p.cfg.Explain(api.Join(j.Function, j.FunctionBase64), handle)
	}
	data.Gone = j.State == api.JobRunning && !j.Background && j.ArgumentSize == 0
	if data.ShowArgument = guard.From(r.Context()).Role >= guard.Reader; data.ShowArgument {
		data.Argument = p.beginning(handle)
	}
	p.show(w, r, http.StatusOK, "job", monitor.Printable(handle), true, data)
}

// beginning returns the beginning of a job's argument, or nil.
func (p *Pages) beginning(handle string) *argument {
	b, whole, err := p.cfg.Source.Argument(handle, argumentShown)
	if err != nil {
		return nil
	}
	a := &argument{Size: whole, Truncated: whole > len(b), Raw: "./" + string(oneOf(handle)) + "/argument"}
	for n := 0; a.Truncated && n < utf8.UTFMax && !utf8.Valid(b) && len(b) > 0; n++ {
		b = b[:len(b)-1] // remove a truncated character
	}
	if a.Text = string(b); !utf8.Valid(b) || strings.ContainsRune(a.Text, 0) {
		a.Text, a.Hex = hex.Dump(b), true
	} else {
		a.Text = legible(a.Text)
	}
	return a
}

// legible returns a text for display: line breaks stay, and what could change how the rest is read (control
// characters, marks of text direction) is written as \uNNNN.
func legible(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r == '\n' || r == '\t' || r == '\r' || r == ' ' || unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// argument serves a job's whole argument as a download.
func (p *Pages) argument(w http.ResponseWriter, r *http.Request) {
	protect(w.Header())
	if err := web.ServeArgument(w, p.cfg.Source.Sched(), r.PathValue("handle")); err != nil {
		p.missing(w, r, "the argument can't be read, or the job has ended")
	}
}
