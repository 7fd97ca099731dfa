package sched

import "iter"

// jobTable holds the jobs of a shard by number. Numbers are given one after the other, so that most
// of a page is in use while its jobs are: a map of pages takes a fraction of what a map of jobs
// would, in memory and in time.
type jobTable struct {
	pages map[uint64]*jobPage
	count int

	// The page that was used last, and its number.
	last   *jobPage
	lastAt uint64
	// The page with the highest number. It stays when it is empty: the next jobs come there. Otherwise jobs that
	// come one at a time would take a page each.
	newest   *jobPage
	newestAt uint64
}

const pageJobs = 64

type jobPage struct {
	jobs [pageJobs]*job
	used int
}

// locate returns the page and the place in it of a number.
func locate(number uint64) (page uint64, slot int) {
	n := (number - 1) / shardCount
	return n / pageJobs, int(n % pageJobs)
}

// page returns a page, nil if there is none.
func (t *jobTable) page(at uint64) *jobPage {
	if t.last != nil && t.lastAt == at {
		return t.last
	}
	p := t.pages[at]
	if p != nil {
		t.last, t.lastAt = p, at
	}
	return p
}

// get returns the job of a number, nil if there is none.
func (t *jobTable) get(number uint64) *job {
	at, slot := locate(number)
	if p := t.page(at); p != nil {
		return p.jobs[slot]
	}
	return nil
}

// add puts in a job whose number is not there yet.
func (t *jobTable) add(j *job) {
	at, slot := locate(j.number)
	p := t.page(at)
	if p == nil {
		p = t.newPage(at)
	}
	p.jobs[slot] = j
	p.used++
	t.count++
}

// newPage puts in a page that is not there, in place of the newest if that is empty.
func (t *jobTable) newPage(at uint64) (p *jobPage) {
	if p = t.newest; p != nil && p.used == 0 {
		delete(t.pages, t.newestAt)
		t.newest = nil
	} else {
		p = &jobPage{}
	}
	if t.newest == nil || at > t.newestAt {
		t.newest, t.newestAt = p, at
	}
	t.pages[at] = p
	t.last, t.lastAt = p, at
	return p
}

// remove takes out the job of a number, which must be there.
func (t *jobTable) remove(number uint64) {
	at, slot := locate(number)
	p := t.page(at)
	p.jobs[slot] = nil
	t.count--
	if p.used--; p.used == 0 && p != t.newest {
		delete(t.pages, at)
		t.last = nil
	}
}

// all goes through the jobs, in no particular order. Those it has come to may be removed on the way.
func (t *jobTable) all() iter.Seq[*job] {
	return func(yield func(*job) bool) {
		for _, p := range t.pages {
			for _, j := range p.jobs {
				if j != nil && !yield(j) {
					return
				}
			}
		}
	}
}
