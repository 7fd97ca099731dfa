package view

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"gearloop/api"
	"gearloop/internal/glob"
	"gearloop/reactor"
	"gearloop/sched"
)

// Priorities are the names of priorities, by sched's numbers.
var Priorities = [sched.Priorities]string{"high", "normal", "low"}

// jobStates are the names of states as the API has them, by sched's.
var jobStates = map[string]string{
	"queued": api.JobWaiting, "delayed": api.JobDelayed, "storing": api.JobStoring, "running": api.JobRunning,
	"abandoned": api.JobRunning, "shelved": api.JobShelved,
}

// JobQuery selects jobs.
type JobQuery struct {
	api.JobFilter
	// Next asks for the jobs of one function that wait, in the order in which workers get them. Of the filter,
	// only the function and the state waiting are allowed.
	Next   bool
	Limit  int // 0 = 100; at most maxLimit
	Cursor string
}

// Job returns the job with a handle.
func (s *Source) Job(handle string) (j api.Job, ok bool) {
	d, ok := s.cfg.Sched.Job(handle)
	if !ok {
		return j, false
	}
	j = s.job(&d)
	if ahead, ok := s.cfg.Sched.Ahead(handle); ok {
		j.Ahead = &ahead
	}
	for _, p := range s.cfg.Sched.Submitters(handle, shownClients) {
		j.Clients = append(j.Clients, *s.peer(p))
	}
	return j, true
}

// peer describes a connection briefly.
func (s *Source) peer(p *sched.Peer) *api.PeerRef {
	ref := peerRef(p)
	ref.ClientID, ref.ClientRaw = api.Split(named(s.cfg.Sched.Peer(p, 0).ClientID))
	return ref
}

func (s *Source) job(d *sched.JobDetail) api.Job {
	j := api.Job{
		Handle: string(s.cfg.Sched.AppendHandle(nil, d.Number)), State: jobStates[d.State], Priority: Priorities[d.Priority],
		Background: d.Background, Stored: d.Stored, Retries: d.Retries, Listeners: d.Listeners, ArgumentSize: d.Size,
		Numerator: d.Numerator, Denominator: d.Denominator, Submitted: moment(d.Submitted), Due: moment(d.Due), Deadline: moment(d.Deadline),
	}
	j.Function, j.FunctionBase64 = api.Split(d.Function)
	j.Unique, j.UniqueBase64 = api.Split(d.Unique)
	if d.Worker != nil {
		j.Worker, j.HandedOut = s.peer(d.Worker), moment(d.Since)
	} else if j.State == api.JobWaiting {
		j.Queued = moment(d.Since)
	}
	return j
}

// moment converts a time to UTC, nil for the zero time.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// peerRef names a connection.
func peerRef(p *sched.Peer) *api.PeerRef {
	id := ""
	if p.User != nil {
		id = fmt.Sprint(reactor.ID(p))
	}
	return &api.PeerRef{ID: id, Address: addressOf(p)}
}

// Jobs returns a page of jobs: those with a unique id directly, others from a scan with a budget, in a stable
// order: a job that exists from the first page to the last appears exactly once. The cursor is a job's
// number.
func (s *Source) Jobs(q JobQuery) (page api.Page[api.Job], err error) {
	q.Unique, q.UniqueBase64 = api.Join(q.Unique, q.UniqueBase64), nil
	limit, err := pageLimit(q.Limit)
	if err != nil {
		return page, err
	}
	f, err := s.jobFilter(&q.JobFilter)
	if err != nil {
		return page, err
	}
	from, err := jobCursor(q.Cursor)
	if err != nil {
		return page, err
	}
	page.AsOf, page.Items = s.cfg.Now().UTC(), []api.Job{}
	if q.Next {
		return s.nextJobs(page, &q, from, limit)
	}
	if q.Unique != "" {
		found, more := s.cfg.Sched.JobsByUnique(q.Unique, from, func(d *sched.JobDetail) bool {
			page.Looked++
			return f.quick(d.Function, d.Priority, d.State) && f.whole(d)
		}, limit)
		for i := range found {
			page.Items = append(page.Items, s.job(&found[i]))
		}
		if more {
			page.Next = cursorOf(sched.Behind(found[limit-1].Number))
		}
		return page, nil
	}
	function, _ := f.function.Exact()
	var part []sched.JobDetail
	last := uint64(0) // the last job of the page
	budget := jobsLooked
	scan := s.cfg.Sched.ScanJobs(from, function)
	for more := true; more; {
		if budget <= 0 {
			page.Next = cursorOf(scan.At())
			return page, nil
		}
		part, more = scan.Next(part[:0], f.quick)
		page.Looked += scan.Jobs()
		budget -= scan.Looked() + f.searched/searchedForOne
		f.searched = 0
		for i := range part {
			if !f.whole(&part[i]) {
				continue
			}
			if len(page.Items) == limit {
				page.Next = cursorOf(sched.Behind(last))
				return page, nil
			}
			page.Items = append(page.Items, s.job(&part[i]))
			last = part[i].Number
		}
		runtime.Gosched() // yield to the event loops
	}
	return page, nil
}

// nextJobs returns the jobs that workers of a function get next, behind the one with a number.
func (s *Source) nextJobs(page api.Page[api.Job], q *JobQuery, behind uint64, limit int) (api.Page[api.Job], error) {
	function := api.Join(q.Function, q.FunctionBase64)
	if function == "" || q.State != "" && q.State != api.JobWaiting || q.Priority+q.Unique+q.UniquePrefix+q.Worker+q.Argument != "" ||
		q.OlderThan != nil || q.ArgumentBase64 != nil {
		return page, badQuery("the order next is that of the jobs of one function that wait: it goes with function alone")
	}
	pattern := glob.New(function)
	if _, exact := pattern.Exact(); !exact {
		if _, there := s.cfg.Sched.FunctionStats(function); !there { // a name may have such bytes, too
			return page, badQuery(
				"%q is a pattern, and the order next is that of the jobs of one function: give its name", function)
		}
	}
	found, more := s.cfg.Sched.NextJobs(function, behind, limit)
	for i := range found {
		page.Items = append(page.Items, s.job(&found[i]))
	}
	page.Looked = len(found)
	if more {
		page.Next = cursorOf(found[limit-1].Number)
	}
	return page, nil
}

// jobCursor returns the number at which a page begins.
func jobCursor(cursor string) (from uint64, err error) {
	if cursor == "" {
		return 0, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if n, _ := fmt.Sscanf(string(raw), "#%d", &from); err != nil || n != 1 {
		return 0, badQuery("the cursor is not one of this list")
	}
	return from, nil
}

func cursorOf(number uint64) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "#%d", number))
}

// jobFilter is a checked filter: a job must pass both quick and whole.
type jobFilter struct {
	function glob.Pattern
	quick    func(function string, priority int, state string) bool
	whole    func(*sched.JobDetail) bool
	searched int // bytes of arguments searched
}

// jobFilter checks and converts a filter.
func (s *Source) jobFilter(f *api.JobFilter) (*jobFilter, error) {
	function := api.Join(f.Function, f.FunctionBase64)
	meant := *f
	meant.Unique, meant.Argument = api.Join(f.Unique, f.UniqueBase64), api.Join(f.Argument, f.ArgumentBase64)
	f = &meant
	priority := -1
	for p, name := range Priorities {
		if f.Priority == name {
			priority = p
		}
	}
	if f.Priority != "" && priority < 0 {
		return nil, badQuery("priority is %q: it must be high, normal or low", f.Priority)
	}
	known := f.State == ""
	for _, name := range jobStates {
		known = known || f.State == name
	}
	if !known {
		return nil, badQuery("state is %q: it must be waiting, delayed, storing, running or shelved", f.State)
	}
	var before time.Time
	if f.OlderThan != nil {
		age := *f.OlderThan
		if !(age >= 0 && age <= 1e9) {
			return nil, badQuery("older_than_seconds is %v: it must be from 0 to 1000000000", age)
		}
		before = s.cfg.Now().Add(-time.Duration(age * float64(time.Second)))
	}
	argument := []byte(f.Argument)
	if len(function) > maxPattern {
		return nil, badQuery("function has %d bytes, the most is %d", len(function), maxPattern)
	}
	pattern := glob.New(function)
	of, meansIt := "", pattern.Match("") // function of the previous job, which the next one probably shares
	all := &jobFilter{
		function: pattern,
		quick: func(fn string, p int, state string) bool {
			if fn != of {
				of, meansIt = fn, pattern.Match(fn)
			}
			return meansIt && (priority < 0 || p == priority) &&
				(f.State == "" || jobStates[state] == f.State)
		},
	}
	all.whole = func(d *sched.JobDetail) bool {
		return (f.Unique == "" || d.Unique == f.Unique) && strings.HasPrefix(d.Unique, f.UniquePrefix) &&
			(f.OlderThan == nil || d.Submitted.Before(before)) &&
			(f.Worker == "" || d.Worker != nil && d.Worker.User != nil && peerRef(d.Worker).ID == f.Worker) &&
			(len(argument) == 0 || all.holds(s, d, argument))
	}
	return all, nil
}

// Meant converts a filter to a selection of jobs that were submitted until asOf; the zero time means all. The
// result is for one walk.
func (s *Source) Meant(q *api.JobFilter, asOf time.Time) (m sched.Meant, err error) {
	f, err := s.jobFilter(q)
	if err != nil {
		return m, err
	}
	m = sched.Meant{AsOf: asOf, Quick: f.quick, Whole: f.whole}
	m.Function, _ = f.function.Exact()
	return m, nil
}

// holds reports whether a job's argument contains part. Only its first searchedBytes are searched.
func (f *jobFilter) holds(s *Source, d *sched.JobDetail, part []byte) bool {
	if d.Size < len(part) {
		return false
	}
	argument, _, err := s.Argument(string(s.cfg.Sched.AppendHandle(nil, d.Number)), searchedBytes)
	f.searched += len(argument)
	return err == nil && bytes.Contains(argument, part)
}

// Argument returns the first most bytes of a job's argument, which the store alone may have, and the length
// of all of it. Errors are those of sched.WriteArgument.
func (s *Source) Argument(handle string, most int) (argument []byte, size int, err error) {
	first := beginning{most: most}
	err = s.cfg.Sched.WriteArgument(handle, func(n int) io.Writer {
		size = n
		return &first
	})
	if first.full {
		err = nil // it was told to stop
	}
	return first.b, size, err
}

// beginning takes the first bytes of what is written, and has the writer stop then.
type beginning struct {
	b    []byte
	most int
	full bool
}

var errEnough = errors.New("enough was read")

func (f *beginning) Write(b []byte) (n int, err error) {
	n = min(len(b), f.most-len(f.b))
	f.b = append(f.b, b[:n]...)
	if n < len(b) {
		f.full = true
		return n, errEnough
	}
	return n, nil
}
