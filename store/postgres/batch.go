package postgres

import (
	"slices"

	"github.com/jackc/pgx/v5/pgtype"

	"gearloop/store"
)

// entry is what is kept of a living job.
type entry struct {
	size  uint32
	pos   int32 // in the batch that gathers
	state uint8
	large bool
}

// States of a job.
const (
	gathered = iota // in Engine.next
	sent            // in a batch that is under way
	aside           // contested, beside the batches
	safe
)

// fixedSize is about what a row takes beside its strings and argument, in bytes.
const fixedSize = 100

// pending is a job of a batch.
type pending struct {
	number            uint64
	key               pgtype.UUID
	due               int64
	priority          store.Priority
	retries           uint16
	start             int // of its strings, and its argument if that is not large, in batch.data
	fn, uniq, reducer int32
	size              int
	argument          [][]byte // a large one
	receipt           store.Receipt
	over              bool // it ended before it was sent
	outcome           error
	known             bool // its outcome is: stored or, with outcome, refused
	written           bool // the large argument is
	elsewhere         bool // a job of another broker has its unique id (contest.go)
	holder            uint64
	contest           contest
}

// batch is what one transaction writes: jobs, ends and retries.
type batch struct {
	data    []byte
	jobs    []pending
	ended   []int64
	args    []int64
	updated map[uint64]update
	bytes   int64
}

// update is what Update wants to be written.
type update struct {
	retries  uint16
	priority store.Priority
}

// lazy is the number of entries that need not be written at once.
func (b *batch) lazy() int { return len(b.ended) + len(b.updated) }

// cut returns the next batch: what has gathered, up to the size of one. The rest stays ahead of all that comes.
func (e *Engine) cut() *batch {
	e.mu.Lock()
	defer e.mu.Unlock()
	b := e.next
	e.next = &batch{}
	if n := b.most(); n < len(b.jobs) {
		rest := b.jobs[n:]
		from := rest[0].start
		e.next.data = append(e.next.data, b.data[from:]...)
		e.next.jobs = append(e.next.jobs, rest...)
		b.jobs = b.jobs[:n:n]
		for i := range e.next.jobs {
			p := &e.next.jobs[i]
			p.start -= from
			cost := p.cost()
			e.next.bytes += cost
			b.bytes -= cost
			if j, ok := e.jobs[p.number]; ok && j.state == gathered {
				j.pos = int32(i)
				e.jobs[p.number] = j
			}
		}
	}
	b.cutEnds(e.next)
	for i := range b.jobs {
		p := &b.jobs[i]
		if j, ok := e.jobs[p.number]; ok && !p.over {
			j.state = sent
			e.jobs[p.number] = j
		}
	}
	e.writing = b.bytes
	return b
}

// cutEnds leaves at most lazyMost ends and as many updates in b, so that the statement that writes them does not
// take longer than the database is waited for. The others go to rest.
func (b *batch) cutEnds(rest *batch) {
	if len(b.ended) > lazyMost {
		rest.ended = slices.Clone(b.ended[lazyMost:])
		b.ended = b.ended[:lazyMost:lazyMost]
		b.reclaimEnds(rest)
		// An argument goes no earlier than its job: a job without one could not be adopted.
		later := make(map[int64]bool, len(rest.ended))
		for _, number := range rest.ended {
			later[number] = true
		}
		var args []int64
		for _, number := range b.args {
			if later[number] {
				rest.args = append(rest.args, number)
			} else {
				args = append(args, number)
			}
		}
		b.args = args
	}
	if len(b.updated) > lazyMost {
		rest.updated = map[uint64]update{}
		for number, u := range b.updated {
			if len(b.updated) == lazyMost {
				break
			}
			rest.updated[number] = u
			delete(b.updated, number)
		}
	}
}

// reclaimEnds takes the ends of b's own jobs back from rest. Such a job was refused earlier, and appended again: an end
// that came after the batch would delete the row that was acknowledged.
func (b *batch) reclaimEnds(rest *batch) {
	own := make(map[int64]bool, len(b.jobs))
	for i := range b.jobs {
		own[int64(b.jobs[i].number)] = true
	}
	rest.ended = slices.DeleteFunc(rest.ended, func(number int64) bool {
		if own[number] {
			b.ended = append(b.ended, number)
		}
		return own[number]
	})
}

// cost is about how many bytes the job takes in memory and in the table.
func (p *pending) cost() int64 { return int64(p.size) + int64(p.fn+p.uniq+p.reducer) + fixedSize }

// most is how many jobs of what has gathered go into one batch.
func (b *batch) most() int {
	bytes := int64(0)
	for i := range b.jobs {
		if i == batchJobs || bytes >= batchBytes {
			return i
		}
		bytes += b.jobs[i].cost()
	}
	return len(b.jobs)
}
