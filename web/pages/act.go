package pages

import (
	"net/http"
	"slices"
	"strings"

	"gearloop/api"
	"gearloop/web/guard"
)

// button is an action that a page offers.
type button struct {
	Name, To, Meaning, Button   string
	Until, Priorities, Argument bool
	Danger                      bool
	Confirm                     string
}

// functionButtons returns what can be done with a function.
func functionButtons(f *api.Function) []button {
	self := "./" + string(segment(api.Join(f.Name, f.NameBase64))) + "/"
	return []button{{Name: "Submit a job", To: self + "submit", Argument: true, Button: "Submit a background job",
		Meaning: "A background job of normal priority. With --data-dir it is on the disk when the page comes back."}}
}

// jobButtons returns what can be done with a job now.
func jobButtons(j *api.Job) []button {
	to := "./" + string(segment(j.Handle)) + "/cancel"
	if j.State == api.JobRunning {
		return []button{{Name: "Give up", To: to, Danger: true, Button: "Fail it now",
			Meaning: "Its listeners get WORK_FAIL. The worker goes on, as Gearman can't stop it, and its result is dropped."}}
	}
	return []button{{Name: "Cancel", To: to, Danger: true, Button: "End it",
		Meaning: "Its listeners get WORK_FAIL, and it leaves the disk. It can't be undone."}}
}

// form reads what a person has filled in.
func form(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, 8<<20)
	if err := r.ParseForm(); err != nil {
		return guard.NewProblem(http.StatusBadRequest, err.Error())
	}
	return nil
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

func (p *Pages) submit(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	said, err := "", form(w, r)
	if err == nil {
		in := api.Submit{Reason: r.PostForm.Get("reason")}
		in.Unique, in.UniqueBase64 = api.Split(r.PostForm.Get("unique"))
		in.Argument, in.ArgumentBase64 = api.Split(r.PostForm.Get("argument"))
		if said, err = p.cfg.Actions.Submit(r.Context(), guard.From(r.Context()), name, &in); err == nil {
			said = "The job is " + said + "."
		}
	}
	p.done(w, r, "../"+string(segment(name)), said, err)
}

func (p *Pages) cancel(w http.ResponseWriter, r *http.Request) {
	handle := r.PathValue("handle")
	said, err := "", form(w, r)
	if err == nil {
		said, err = p.cfg.Actions.Cancel(r.Context(), guard.From(r.Context()), handle, r.PostForm.Get("reason"))
	}
	back := "../" + string(segment(handle))
	if _, ok := p.cfg.Source.Job(handle); !ok {
		back = "../../jobs" // it has no page any more
	}
	p.done(w, r, back, said, err)
}

func (p *Pages) disconnect(w http.ResponseWriter, r *http.Request) {
	said, err := "", form(w, r)
	if err == nil {
		said, err = p.cfg.Actions.Disconnect(r.Context(), guard.From(r.Context()), r.PathValue("id"), r.PostForm.Get("reason"))
	}
	p.done(w, r, "../../workers", said, err)
}

func sortFacts(all []fact) {
	slices.SortFunc(all, func(a, b fact) int { return strings.Compare(a.Name, b.Name) })
}
