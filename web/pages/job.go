package pages

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"gearloop/api"
	"gearloop/internal/monitor"
	"gearloop/web"
	"gearloop/web/guard"
)

// step is something that happened to a job, or will.
type step struct {
	At   *time.Time
	What string
}

func (p *Pages) job(w http.ResponseWriter, r *http.Request) {
	handle := r.PathValue("handle")
	j, ok := p.cfg.Source.Job(handle)
	if !ok {
		p.missing(w, r, fmt.Sprintf("there is no job %q: it has ended, or never was", monitor.Printable(handle)))
		return
	}
	data := struct {
		Root     string
		Gone     bool // the worker alone has the argument
		Job      api.Job
		Place    string
		Causes   []api.Cause
		Can      bool
		Actions  []button
		Timeline []step
		Argument *argument
		Curl     command
		Raw      command // the whole argument
	}{Root: root(r), Job: j, Can: p.can(r), Actions: jobButtons(&j), Place: p.place(&j), Timeline: timeline(&j)}
	if p.cfg.Explain != nil {
		data.Causes = p.cfg.Explain(api.Join(j.Function, j.FunctionBase64), handle)
	}
	data.Gone = j.State == api.JobRunning && !j.Background && j.ArgumentSize == 0
	if !data.Gone {
		data.Argument = p.beginning(handle, r.URL.Query().Get("as"))
	}
	data.Curl, data.Raw = curl(r, api.Path("jobs", handle)), curl(r, api.Path("jobs", handle, "argument")+"?raw", "-o argument.bin")
	p.show(w, r, http.StatusOK, "job", monitor.Printable(handle), true, data)
}

// place says where a waiting job stands among those of its function, "" for other jobs.
func (p *Pages) place(j *api.Job) string {
	if j.State != api.JobWaiting {
		return ""
	}
	of := ""
	if f, ok := p.cfg.Source.Function(api.Join(j.Function, j.FunctionBase64)); ok {
		of = " of " + number(f.Waiting)
	}
	if j.Ahead == nil {
		return "behind many others" + of + ", which are not counted, " + j.Priority + " priority"
	}
	return "place " + number(*j.Ahead+1) + of + ", " + j.Priority + " priority"
}

// timeline returns what is known of a job's life. Nothing is kept for it alone: each time is one that the job
// has in its state.
func timeline(j *api.Job) (all []step) {
	add := func(at *time.Time, what string) {
		if at != nil {
			all = append(all, step{at, what})
		}
	}
	submitted := "submitted"
	if len(j.Clients) > 0 {
		submitted += " by " + peer(&j.Clients[0])
	}
	add(j.Submitted, submitted)
	lost := "its worker lost it"
	if j.Retries > 1 {
		lost = fmt.Sprintf("%d workers lost it, one after the other", j.Retries)
	}
	switch {
	case j.Queued != nil && j.Retries > 0:
		add(j.Queued, "put back: "+lost)
	case j.Retries > 0:
		all = append(all, step{nil, "put back: " + lost})
	case j.Queued != nil && (j.Submitted == nil || j.Queued.Sub(*j.Submitted) > time.Second):
		add(j.Queued, "queued: it was due, or an operator put it back")
	}
	if j.Worker != nil {
		add(j.HandedOut, "handed to "+peer(j.Worker))
	}
	add(j.Due, "due")
	add(j.Deadline, "its time is up")
	return all
}

// peer names a connection.
func peer(p *api.PeerRef) string {
	if id := api.Join(p.ClientID, p.ClientRaw); id != "" {
		return p.Address + " “" + id + "”"
	}
	return p.Address
}

// command is a command of the shell that asks the API. The page's script puts in Base's place the address
// under which the browser sees the dashboard, which may be a proxy's.
type command struct{ Text, Base string }

// curl returns the command that fetches a path of the API.
func curl(r *http.Request, path string, options ...string) command {
	base := "http://" + r.Host + "/"
	if r.TLS != nil {
		base = "https://" + r.Host + "/"
	}
	words := append([]string{"curl -sS --fail-with-body"}, options...)
	if who := guard.From(r.Context()); who.Via == "token" || who.Via == "session" {
		words = append(words, `-H "Authorization: Bearer $TOKEN"`)
	}
	// A path that is escaped, and a host that was checked, hold no quote.
	return command{strings.Join(append(words, "'"+base+strings.TrimPrefix(api.Prefix, "/")+path+"'"), " "), base}
}

// argument serves a job's whole argument as a download.
func (p *Pages) argument(w http.ResponseWriter, r *http.Request) {
	protect(w.Header())
	if err := web.ServeArgument(w, p.cfg.Source.Sched(), r.PathValue("handle")); err != nil {
		p.missing(w, r, "the argument can't be read, or the job has ended")
	}
}
