package pages

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gearloop/api"
	"gearloop/sched"
	"gearloop/web/action"
	"gearloop/web/guard"
)

// button is an action on a page. Its text says exactly what it does.
type button struct {
	Name, To, Meaning, Button   string
	Until, Priorities, Argument bool
	Danger                      bool
	Confirm                     string
}

// functionButtons returns the actions for a function in its current state. kept: its settings survive a
// restart.
func functionButtons(f *api.Function, value bool) []button {
	self := func(what string) string { return "../" + api.Path("functions", api.Join(f.Name, f.NameBase64), what) }
	lasts := " A restart ends it, as the broker has no --data-dir."
	if value {
		lasts = " It is kept over a restart."
	}
	all := make([]button, 0, 3)
	if f.Paused == nil {
		all = append(all, button{Name: "Pause", To: self("pause"), Until: true, Button: "Stop handing out its jobs",
			Meaning: "Workers get no job of this function. Submissions go on and wait; jobs that workers have go on." + lasts})
	} else {
		all = append(all, button{Name: "Resume", To: self("resume"), Button: "Hand out its jobs again",
			Meaning: "Workers get its jobs again, at once. " + number(f.Waiting) + " wait now."})
	}
	if f.Closed == nil {
		all = append(all, button{Name: "Close", To: self("close"), Until: true, Button: "Refuse new jobs", Danger: true,
			Meaning: "Clients that submit to this function get an ERROR, as if its queue were full. Jobs that are here are worked on." + lasts})
	} else {
		all = append(all, button{Name: "Open", To: self("open"), Button: "Take new jobs again",
			Meaning: "Submissions to this function are taken again, at once."})
	}
	if f.Waiting > 0 {
		all = append(all, button{Name: "Purge", To: self("purge"), Button: "Count the jobs that wait", Danger: true,
			Meaning: "Ends the jobs of this function that wait now: listeners get WORK_FAIL. Delayed and running ones stay. " +
				"First they are counted; nothing is done before you confirm the number."})
	}
	return append(all, button{Name: "Submit a job", To: self("submit"), Argument: true, Button: "Submit a background job",
		Meaning: "A background job of normal priority. With --data-dir it is on the disk when the page comes back."})
}

// jobButtons returns the actions for a job in its current state.
func jobButtons(j *api.Job) (all []button) {
	to := "./" + string(oneOf(j.Handle)) + "/"
	if j.State == api.JobRunning {
		return []button{
			{Name: "Give up", To: to + "give-up", Danger: true, Button: "Fail it now",
				Meaning: "Its listeners get WORK_FAIL. The worker goes on, as Gearman can't stop it, and its result is dropped."},
			{Name: "Take back", To: to + "take-back", Danger: true, Button: "Queue it again: it may run twice",
				Meaning: "The job waits again, in front of its queue. The worker that has it goes on, so the job may be done twice; " +
					"what that worker sends is dropped."},
		}
	}
	if j.State == api.JobWaiting {
		all = append(all, button{Name: "To the front", To: to + "front", Button: "Put it in front",
			Meaning: "The next free worker gets it before all others of its priority. A restart queues stored jobs in the order of submission again."})
	}
	return append(all,
		button{Name: "Priority", To: to + "priority", Priorities: true, Button: "Change its priority",
			Meaning: "A job that waits goes to the end of the queue of that priority."},
		button{Name: "Cancel", To: to + "cancel", Danger: true, Button: "End it",
			Meaning: "Its listeners get WORK_FAIL, and it leaves the disk. It can't be undone."})
}

// maxForm is the longest form, in bytes: an argument of some megabytes, percent-encoded.
const maxForm = 32 << 20

// form parses a submitted form.
func form(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return guard.NewProblem(http.StatusBadRequest, err.Error())
	}
	return nil
}

// act carries out a form's action and redirects the browser to a page that says what was done: back is
// relative to the form's target.
func (p *Pages) act(back func(*http.Request) string, do func(*http.Request, guard.Who) (said string, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		said, err := "", form(w, r)
		if err == nil {
			said, err = do(r, guard.From(r.Context()))
		}
		bad := ""
		if err != nil {
			said, bad = err.Error(), "1"
		}
		w.Header().Set("Location", with(back(r), query("done", said, "bad", bad, "sign", p.sign(said))))
		w.WriteHeader(http.StatusSeeOther)
	}
}

// newKey returns the key that signs notices, for the life of the process.
func newKey() []byte {
	key := make([]byte, 32)
	rand.Read(key) // it never fails
	return key
}

// sign returns a notice's signature: without it a foreign link could put text on a page.
func (p *Pages) sign(said string) string {
	mac := hmac.New(sha256.New, p.key)
	mac.Write([]byte(said))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:12])
}

// signed reports whether a notice has a valid signature.
func (p *Pages) signed(said, sign string) bool { return hmac.Equal([]byte(p.sign(said)), []byte(sign)) }

// with adds a query to an address, which may have one.
func with(address, query string) string {
	if strings.Contains(address, "?") {
		return address + "&" + query
	}
	return address + "?" + query
}

func toFunction(r *http.Request) string { return "../../" + api.Path("functions", named(r)) }

// toJob leads back to a job's page, or to the list if the job has none any more.
func (p *Pages) toJob(r *http.Request) string {
	handle := r.PathValue("handle")
	if _, ok := p.cfg.Source.Job(handle); !ok {
		return "../../jobs"
	}
	return "../" + string(oneOf(handle))
}

func toWorkers(*http.Request) string { return "../../workers" }

func (p *Pages) mountActions(mux *http.ServeMux) {
	a := p.cfg.Actions
	function := func(name string, do func(*http.Request, guard.Who) (string, error)) {
		mux.Handle("POST /functions/{name}/"+name, p.cfg.Guard.Need(guard.Operator, p.act(toFunction, do)))
	}
	function("submit", p.submit)
	function("pause", func(r *http.Request, who guard.Who) (string, error) {
		set, err := setting(r, time.Now())
		if err != nil {
			return "", err
		}
		return a.Pause(r.Context(), who, named(r), set)
	})
	function("close", func(r *http.Request, who guard.Who) (string, error) {
		set, err := setting(r, time.Now())
		if err != nil {
			return "", err
		}
		return a.Close(r.Context(), who, named(r), set)
	})
	function("resume", func(r *http.Request, who guard.Who) (string, error) {
		changed, err := a.Resume(r.Context(), who, named(r), r.PostForm.Get("reason"))
		return either(changed, "Jobs of the function are handed out again.", "The function was not paused."), err
	})
	function("open", func(r *http.Request, who guard.Who) (string, error) {
		changed, err := a.Open(r.Context(), who, named(r), r.PostForm.Get("reason"))
		return either(changed, "Submissions to the function are taken again.", "The function was not closed."), err
	})
	mux.Handle("POST /functions/{name}/purge", p.cfg.Guard.Need(guard.Operator, http.HandlerFunc(p.purge)))
	mux.Handle("POST /bulk", p.cfg.Guard.Need(guard.Operator, http.HandlerFunc(p.bulk)))
	mux.Handle("GET /operations", p.cfg.Guard.Need(guard.Reader, http.HandlerFunc(p.operations)))
	mux.Handle("POST /operations/{id}/stop", p.cfg.Guard.Need(guard.Operator, p.act(toOperations, func(r *http.Request, who guard.Who) (string, error) {
		_, changed, err := a.StopOperation(r.Context(), who, r.PathValue("id"), r.PostForm.Get("reason"))
		return either(changed, "The operation is stopped. What it has done stays.", "The operation was over already."), err
	})))
	job := func(name string, which func(*http.Request) (sched.Act, error)) {
		mux.Handle("POST /jobs/{handle}/"+name, p.cfg.Guard.Need(guard.Operator, p.act(p.toJob, func(r *http.Request, who guard.Who) (string, error) {
			act, err := which(r)
			if err != nil {
				return "", err
			}
			said, _, err := a.Act(r.Context(), who, act, r.PathValue("handle"), r.PostForm.Get("reason"))
			return said, err
		})))
	}
	for name, act := range map[string]sched.Act{
		"cancel": sched.CancelJob, "give-up": sched.GiveUpJob, "take-back": sched.TakeBackJob, "front": sched.MoveToFront,
	} {
		job(name, func(*http.Request) (sched.Act, error) { return act, nil })
	}
	job("priority", func(r *http.Request) (sched.Act, error) { return action.ToPriority(r.PostForm.Get("priority")) })
	mux.Handle("POST /workers/{id}/disconnect", p.cfg.Guard.Need(guard.Operator, p.act(toWorkers, func(r *http.Request, who guard.Who) (string, error) {
		return a.Disconnect(r.Context(), who, r.PathValue("id"), r.PostForm.Get("reason"))
	})))
}

func either(which bool, yes, no string) string {
	if which {
		return yes
	}
	return no
}

func (p *Pages) submit(r *http.Request, who guard.Who) (string, error) {
	in := api.Submit{Reason: r.PostForm.Get("reason")}
	in.Unique, in.UniqueBase64 = api.Split(r.PostForm.Get("unique"))
	in.Argument, in.ArgumentBase64 = api.Split(r.PostForm.Get("argument"))
	handle, err := p.cfg.Actions.Submit(r.Context(), who, named(r), &in)
	if err != nil {
		return "", err
	}
	return "The job is " + handle + ".", nil
}

// setting returns the setting that a form makes on a function.
func setting(r *http.Request, now time.Time) (*api.Pause, error) {
	set := &api.Pause{Reason: r.PostForm.Get("reason")}
	if text := strings.TrimSpace(r.PostForm.Get("for")); text != "" {
		length, err := parseLength(text)
		if err != nil {
			return nil, guard.NewProblem(http.StatusBadRequest, err.Error())
		}
		until := now.Add(length)
		set.Until = &until
	}
	return set, nil
}

// parseLength parses a duration as people write it: 90s, 30m, 2h, 1h30m, 3d; at most some 100 years.
func parseLength(text string) (time.Duration, error) {
	length, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, atoi := strconv.ParseUint(days, 10, 15)
		length, err = time.Duration(n)*24*time.Hour, atoi
	}
	if err != nil || length <= 0 {
		return 0, fmt.Errorf("“for how long” is %q: it must be a time such as 30m, 2h or 3d, or empty", text)
	}
	return length, nil
}
