package sched

import "gearloop/internal/slim"

// jobTable maps numbers to the jobs of a shard. Numbers are consecutive, so most of a page is in use while
// its jobs exist: a map of pages needs a fraction of the memory and time of a map of jobs.
type jobTable struct {
	pages map[uint64]*jobPage
	most  slim.Peak // of pages
	count int

	// The page used last, and its number.
	last   *jobPage
	lastAt uint64
	// The page with the highest number. It is not freed when empty, because the next jobs go there. Otherwise
	// jobs that come one at a time would allocate a page each.
	newest   *jobPage
	newestAt uint64
}

const pageJobs = 64

type jobPage struct {
	jobs [pageJobs]*job
	used int
}

// locate returns the page of a number and the slot in it.
func locate(number uint64) (page uint64, slot int) {
	n := (number - 1) / shardCount
	return n / pageJobs, int(n % pageJobs)
}

// page returns a page, or nil.
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

// get returns the job with a number, or nil.
func (t *jobTable) get(number uint64) *job {
	at, slot := locate(number)
	if p := t.page(at); p != nil {
		return p.jobs[slot]
	}
	return nil
}

// add inserts a job whose number is not in the table.
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

// newPage inserts a page, and drops the newest one if that is empty.
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

// remove removes the job with a number, which must be in the table.
func (t *jobTable) remove(number uint64) {
	at, slot := locate(number)
	p := t.page(at)
	p.jobs[slot] = nil
	t.count--
	if p.used--; p.used == 0 && p != t.newest {
		delete(t.pages, at)
		t.pages = slim.Map(t.pages, &t.most)
		t.last = nil
	}
}
