package pages

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"gearloop/api"
	"gearloop/internal/monitor"
	"gearloop/web/guard"
)

// typedFrom is from how many jobs on the number has to be typed to confirm an action on all of them.
const typedFrom = 101

// confirm asks whether an action on many jobs is really meant: how many they are, frozen in time.
type confirm struct {
	Title, Text, To, Button, Back string
	Count                         int
	Typed                         bool // the count has to be typed
	Fields                        []fact
}

// ask shows a page that asks for confirmation. The form sends fields again, with as_of and the number.
func (p *Pages) ask(w http.ResponseWriter, r *http.Request, c confirm, asOf time.Time, fields ...string) {
	c.Typed = c.Count >= typedFrom
	c.Fields = []fact{{"as_of", asOf.UTC().Format(time.RFC3339Nano)}}
	for i := 0; i < len(fields); i += 2 {
		c.Fields = append(c.Fields, fact{fields[i], fields[i+1]})
	}
	if !c.Typed {
		c.Fields = append(c.Fields, fact{"confirm", strconv.Itoa(c.Count)})
	}
	p.show(w, r, http.StatusOK, "confirm", c.Title, false, c)
}

// confirmed returns the moment at which jobs were counted and the number that was confirmed, ok when the form
// has both.
func confirmed(r *http.Request) (asOf time.Time, count int, ok bool, err error) {
	text := r.PostForm.Get("as_of")
	if text == "" {
		return asOf, 0, false, nil
	}
	if asOf, err = time.Parse(time.RFC3339Nano, text); err == nil {
		count, err = strconv.Atoi(r.PostForm.Get("confirm"))
	}
	if err != nil {
		return asOf, 0, false, guard.NewProblem(http.StatusBadRequest, "the number of jobs is not confirmed: "+err.Error())
	}
	return asOf, count, true, nil
}

// purge counts the waiting jobs of a function, and ends them when their number is confirmed.
func (p *Pages) purge(w http.ResponseWriter, r *http.Request) {
	name, who := named(r), guard.From(r.Context())
	if err := form(w, r); err != nil {
		p.failed(w, r, err)
		return
	}
	in := api.Purge{Reason: r.PostForm.Get("reason"), DryRun: true}
	asOf, confirmed, ok, err := confirmed(r)
	if err == nil && ok {
		in.AsOf = &asOf
	}
	n := 0
	if err == nil {
		n, asOf, err = p.cfg.Actions.Purge(r.Context(), who, name, &in)
	}
	if err == nil && !ok {
		p.ask(w, r, confirm{
			Title: "Purge " + monitor.Printable(name),
			Text: jobs(n) + " of " + monitor.Printable(name) + " wait. They end: their listeners get WORK_FAIL, and they leave the disk. " +
				"Jobs that are submitted from now on stay. It can't be undone.",
			To: "../../" + api.Path("functions", name, "purge"), Button: "End " + jobs(n), Back: toFunction(r), Count: n,
		}, asOf, "reason", in.Reason)
		return
	}
	p.act(toFunction, func(*http.Request, guard.Who) (string, error) {
		if err != nil {
			return "", err
		}
		if confirmed < n {
			return "", guard.NewProblem(http.StatusConflict, fmt.Sprintf("%d was typed, but %s wait: nothing was done", confirmed, jobs(n)))
		}
		in.DryRun = false
		n, _, err := p.cfg.Actions.Purge(r.Context(), who, name, &in)
		return jobs(n) + " ended.", err
	})(w, r)
}

// numberOf returns a number with its noun.
func numberOf(n int, what string) string { return number(n) + " " + monitor.Noun(n, what) }

// jobs returns a number of jobs in words.
func jobs(n int) string { return numberOf(n, "job") }

// bulkActions are what can be done with all jobs that match, in the words of the API and those of a person.
var bulkActions = []fact{
	{"cancel", "End them (those that no worker has)"},
	{"front", "Put them in front (those that wait)"},
	{"priority", "Change their priority (those that no worker has)"},
	{"give_up", "Give them up (running ones fail; their workers go on)"},
	{"take_back", "Take them back (running ones are queued again, and may run twice)"},
}

func toOperations(*http.Request) string { return "../../operations" }

// bulk counts the jobs that a filter means, and begins to act on them when their number is confirmed.
func (p *Pages) bulk(w http.ResponseWriter, r *http.Request) {
	if err := form(w, r); err != nil {
		p.failed(w, r, err)
		return
	}
	get := r.PostForm.Get
	in := api.Operation{Action: get("action"), Reason: get("reason"), DryRun: true}
	in.Filter.Function, in.Filter.FunctionBase64 = api.Split(get("function"))
	in.Filter.Unique, in.Filter.UniqueBase64 = api.Split(get("unique"))
	in.Filter.State, in.Filter.Priority = get("state"), get("priority")
	if in.Action == "priority" {
		in.Priority = get("to")
	}
	asOf, count, ok, err := confirmed(r)
	if err == nil && ok {
		in.AsOf, in.Confirm, in.DryRun = &asOf, &count, false
	}
	var op api.Operation
	if err == nil {
		op, err = p.cfg.Actions.Operate(r.Context(), guard.From(r.Context()), &in)
	}
	if err != nil {
		p.failed(w, r, err)
		return
	}
	if ok {
		w.Header().Set("Location", "./operations")
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	means := ""
	for _, a := range bulkActions {
		if a.Name == in.Action {
			means = a.Value
		}
	}
	p.ask(w, r, confirm{
		Title: "Act on " + jobs(op.Matched),
		Text: means + ". " + jobs(op.Matched) + " match now. Jobs that are submitted from now on are not touched. " +
			"It goes on in the background, and can be stopped; what it has done then stays.",
		To: "./bulk", Button: "Do it with " + jobs(op.Matched), Back: "./jobs", Count: op.Matched,
	}, *op.AsOf,
		"action", in.Action, "to", in.Priority, "reason", in.Reason, "function", get("function"), "unique", get("unique"),
		"state", in.Filter.State, "priority", in.Filter.Priority)
}

// operations shows what is or was done with many jobs.
func (p *Pages) operations(w http.ResponseWriter, r *http.Request) {
	data := struct {
		Operations []api.Operation
		Can        bool
	}{p.cfg.Actions.Operations(), p.can(r)}
	p.show(w, r, http.StatusOK, "operations", "Operations", true, data)
}
