package pages

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"gearloop/api"
	"gearloop/internal/monitor"
	"gearloop/web/guard"
)

// Actions does what a person asks for, and notes it in the audit log. Errors are problems.
type Actions interface {
	// Function acts on a function: pause, resume, close, open, purge, submit.
	Function(ctx context.Context, who guard.Who, name, action string, form Form) (said string, err error)
	// Job acts on a job: cancel, take-back, front, priority.
	Job(ctx context.Context, who guard.Who, handle, action string, form Form) (said string, err error)
	// Disconnect ends a connection.
	Disconnect(ctx context.Context, who guard.Who, id string, form Form) (said string, err error)
}

// Form is what a person has filled in.
type Form struct {
	Reason   string
	For      time.Duration // 0 is for good
	Priority string
	Unique   string
	Argument string
}

// action is a button and what stands behind it.
type action struct {
	Name, To, Meaning, Button   string
	Until, Priorities, Argument bool
	Danger                      bool
	Confirm                     string
}

// functionActions returns what can be done with a function now.
func functionActions(f *api.Function) (all []action) {
	self := "./" + string(segment(api.Join(f.Name, f.NameBase64))) + "/"
	if f.Paused == nil {
		all = append(all, action{Name: "Pause", To: self + "pause", Until: true, Button: "Pause hand-outs",
			Meaning: "Workers get no more jobs of this function. Submissions go on; running jobs go on. It stays paused over restarts with --data-dir."})
	} else {
		all = append(all, action{Name: "Resume", To: self + "resume", Button: "Resume hand-outs", Meaning: "Workers get jobs of this function again."})
	}
	if f.Closed == nil {
		all = append(all, action{Name: "Close", To: self + "close", Until: true, Button: "Refuse submissions",
			Meaning: "New jobs are refused as by a full queue. What waits is done."})
	} else {
		all = append(all, action{Name: "Open", To: self + "open", Button: "Take submissions", Meaning: "New jobs are taken again."})
	}
	all = append(all, action{Name: "Submit a job", To: self + "submit", Argument: true, Button: "Submit a background job", Meaning: "A background job of normal priority."})
	if f.Waiting > 0 {
		purge := action{Name: "Purge", To: self + "purge", Danger: true, Button: fmt.Sprintf("End %s waiting jobs", number(f.Waiting)),
			Meaning: "Every job that waits now ends: its listeners get WORK_FAIL, and it leaves the disk. Jobs that come later stay. It can't be undone."}
		if f.Waiting > 100 {
			purge.Confirm = fmt.Sprint(f.Waiting)
		}
		all = append(all, purge)
	}
	return all
}

// jobActions returns what can be done with a job now.
func jobActions(j *api.Job) (all []action) {
	self := "./" + string(segment(j.Handle)) + "/"
	switch j.State {
	case api.JobRunning:
		return []action{
			{Name: "Take back", To: self + "take-back", Danger: true, Button: "Queue it again",
				Meaning: "Another worker gets the job. The one that has it goes on, as Gearman can't stop it: the job may be done twice."},
			{Name: "Give up", To: self + "cancel", Danger: true, Button: "Fail it now",
				Meaning: "Its listeners get WORK_FAIL. The worker goes on, and its result is dropped."},
		}
	case api.JobWaiting:
		all = append(all,
			action{Name: "To the front", To: self + "front", Button: "Put it first", Meaning: "It is the next job of its priority."},
			action{Name: "Priority", To: self + "priority", Priorities: true, Button: "Change its priority", Meaning: "It waits at the end of the other queue."})
	}
	return append(all, action{Name: "Cancel", To: self + "cancel", Danger: true, Button: "End it", Meaning: "Its listeners get WORK_FAIL, and it leaves the disk. It can't be undone."})
}

// form reads what a person has filled in.
func form(w http.ResponseWriter, r *http.Request) (f Form, err error) {
	r.Body = http.MaxBytesReader(w, r.Body, 8<<20)
	if err := r.ParseForm(); err != nil {
		return f, guard.NewProblem(http.StatusBadRequest, err.Error())
	}
	f = Form{Reason: r.PostForm.Get("reason"), Priority: r.PostForm.Get("priority"), Unique: r.PostForm.Get("unique"), Argument: r.PostForm.Get("argument")}
	if text := strings.TrimSpace(r.PostForm.Get("for")); text != "" {
		if f.For, err = time.ParseDuration(text); err != nil || f.For <= 0 {
			return f, guard.NewProblem(http.StatusBadRequest, fmt.Sprintf("%q is not a time: it is written as 30m or 2h", text))
		}
	}
	return f, nil
}

// done sends the browser back to a page that says what was done.
func (p *Pages) done(w http.ResponseWriter, r *http.Request, back, said string, err error) {
	bad := ""
	if err != nil {
		said, bad = err.Error(), "1"
	}
	w.Header().Set("Location", back+"?"+query("done", said, "bad", bad))
	w.WriteHeader(http.StatusSeeOther)
}

func (p *Pages) actOnFunction(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	f, err := form(w, r)
	said := ""
	if err == nil {
		said, err = p.cfg.Actions.Function(r.Context(), guard.From(r.Context()), name, r.PathValue("action"), f)
	}
	p.done(w, r, "../"+string(segment(name)), said, err)
}

func (p *Pages) actOnJob(w http.ResponseWriter, r *http.Request) {
	handle := r.PathValue("handle")
	f, err := form(w, r)
	said := ""
	if err == nil {
		said, err = p.cfg.Actions.Job(r.Context(), guard.From(r.Context()), handle, r.PathValue("action"), f)
	}
	back := "../" + string(segment(handle))
	if _, ok := p.cfg.Source.Job(handle); !ok {
		back = "../../jobs"
		said = cmp.Or(said, "done") + ": " + monitor.Printable(handle)
	}
	p.done(w, r, back, said, err)
}

func (p *Pages) disconnect(w http.ResponseWriter, r *http.Request) {
	f, err := form(w, r)
	said := ""
	if err == nil {
		said, err = p.cfg.Actions.Disconnect(r.Context(), guard.From(r.Context()), r.PathValue("id"), f)
	}
	p.done(w, r, "../../workers", said, err)
}

func sortFacts(all []fact) {
	slices.SortFunc(all, func(a, b fact) int { return strings.Compare(a.Name, b.Name) })
}
