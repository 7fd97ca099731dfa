package view

import (
	"encoding/base64"
	"fmt"
	"time"

	"gearloop/api"
	"gearloop/reactor"
	"gearloop/sched"
)

// priorities are the names of priorities, by sched's numbers.
var priorities = [sched.Priorities]string{"high", "normal", "low"}

// jobStates are the names of states as the API has them, by sched's.
var jobStates = map[string]string{
	"queued": api.JobWaiting, "delayed": api.JobDelayed, "storing": api.JobStoring, "running": api.JobRunning,
	"abandoned": api.JobRunning, "shelved": api.JobShelved,
}

// JobQuery says which jobs are meant.
type JobQuery struct {
	api.JobFilter
	Limit  int // 0 = 100; MaxLimit at most
	Cursor string
}

// Job returns the job with a handle.
func (s *Source) Job(handle string) (j api.Job, ok bool) {
	d, ok := s.cfg.Sched.Job(handle)
	if !ok {
		return j, false
	}
	return s.job(&d), true
}

func (s *Source) job(d *sched.JobDetail) api.Job {
	j := api.Job{
		Handle: string(s.cfg.Sched.AppendHandle(nil, d.Number)), State: jobStates[d.State], Priority: priorities[d.Priority],
		Background: d.Background, Stored: d.Stored, Retries: d.Retries, Listeners: d.Listeners, ArgumentSize: d.Size,
		Numerator: d.Numerator, Denominator: d.Denominator, Submitted: moment(d.Submitted), Due: moment(d.Due), Deadline: moment(d.Deadline),
	}
	j.Function, j.FunctionBase64 = api.Split(d.Function)
	j.Unique, j.UniqueBase64 = api.Split(d.Unique)
	if d.Worker != nil {
		j.Worker, j.HandedOut = peerRef(d.Worker), moment(d.Since)
	}
	return j
}

// moment returns a time in UTC, nil for none.
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

// Jobs returns a page of jobs: those with a unique id at once, others from a walk with a budget. The cursor is the
// number of jobs walked past; a walk has no order that outlives it, so jobs that come and go while pages are read may
// come twice or not at all.
func (s *Source) Jobs(q JobQuery) (page api.Page[api.Job], err error) {
	limit, err := pageLimit(q.Limit)
	if err != nil {
		return page, err
	}
	keep, err := s.jobFilter(&q.JobFilter)
	if err != nil {
		return page, err
	}
	page.AsOf, page.Items = s.cfg.Now().UTC(), []api.Job{}
	if q.Unique != "" {
		for _, d := range s.cfg.Sched.JobsByUnique(q.Unique, limit) {
			page.Looked++
			if keep(&d) {
				page.Items = append(page.Items, s.job(&d))
			}
		}
		return page, nil
	}
	skip := 0
	if q.Cursor != "" {
		raw, err := base64.RawURLEncoding.DecodeString(q.Cursor)
		if n, _ := fmt.Sscanf(string(raw), "#%d", &skip); err != nil || n != 1 || skip < 0 {
			return page, badQuery("the cursor is not one of this list")
		}
	}
	seen := 0
	var part []sched.JobDetail
	walk := s.cfg.Sched.WalkJobs()
	for more := true; more; {
		part, more = walk.NextDetails(part[:0])
		for i := range part {
			if seen++; seen <= skip {
				continue
			}
			if len(page.Items) == limit || page.Looked == jobsLooked {
				page.Next = base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "#%d", seen-1))
				return page, nil
			}
			page.Looked++
			if keep(&part[i]) {
				page.Items = append(page.Items, s.job(&part[i]))
			}
		}
	}
	return page, nil
}

// jobFilter returns whether a job is meant.
func (s *Source) jobFilter(f *api.JobFilter) (func(*sched.JobDetail) bool, error) {
	function := api.Join(f.Function, f.FunctionBase64)
	priority := -1
	for p, name := range priorities {
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
		before = s.cfg.Now().Add(-time.Duration(*f.OlderThan * float64(time.Second)))
	}
	return func(d *sched.JobDetail) bool {
		switch {
		case function != "" && !matches(function, d.Function),
			f.State != "" && jobStates[d.State] != f.State,
			priority >= 0 && d.Priority != priority,
			f.Unique != "" && d.Unique != f.Unique,
			f.OlderThan != nil && !d.Submitted.Before(before),
			f.Worker != "" && (d.Worker == nil || peerRef(d.Worker).ID != f.Worker):
			return false
		}
		return true
	}, nil
}
