package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"gearloop/store"
)

// chunkSQL reads jobs of a run in their order: so many, or so many bytes.
const chunkSQL = `select handle, due, prio, retries, fn, uniq, reducer, size, data from (
		select *, sum(case when data is null then 0 else size end) over (order by handle) - size as before
		from (select * from job where handle > $1 and handle <= $2 order by handle limit $3) j
	) k where before < $4 order by handle`

const (
	chunkBytes = 4 << 20 // of arguments that are read at once
	// adoptPause is the longest pause between two chunks.
	adoptPause = 20 * time.Millisecond
)

// adoption reads the jobs of runs that were taken over.
type adoption struct {
	e    *Engine
	wake chan struct{}

	mu    sync.Mutex
	epoch int // counts how often all runs were lost
	queue []owned
	runs  map[uint64]bool // that were another's; true: all of it is read
	own   map[uint64]bool // that were opened here: there is nothing to read
}

func (a *adoption) init(e *Engine) {
	a.e, a.wake, a.runs, a.own = e, make(chan struct{}, 1), map[uint64]bool{}, map[uint64]bool{}
}

// opens notes a run that is about to be opened.
func (a *adoption) opens(run uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.own[run] = true
}

// add has those of this broker's runs read that are new to it.
func (a *adoption) add(mine []owned) {
	a.mu.Lock()
	defer a.mu.Unlock()
	there := make(map[uint64]bool, len(mine))
	for _, o := range mine {
		there[o.run] = true
		if _, known := a.runs[o.run]; known || a.own[o.run] {
			continue
		}
		a.runs[o.run] = false
		a.queue = append(a.queue, o)
	}
	for run, read := range a.runs {
		if read && !there[run] {
			delete(a.runs, run) // it had no jobs any more (sweepSQL)
		}
	}
	if len(a.queue) > 0 {
		select {
		case a.wake <- struct{}{}:
		default:
		}
	}
}

// forget gives up everything.
func (a *adoption) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.epoch++
	a.queue = nil
	clear(a.runs)
	clear(a.own) // should one of them come back, its jobs have to be read
}

// hasRead reports whether all jobs of a run that is this broker's are in its memory.
func (a *adoption) hasRead(run uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.runs[run] || a.own[run]
}

// readRuns returns the runs that were read to their ends.
func (a *adoption) readRuns() (runs []int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for run, read := range a.runs {
		if read {
			runs = append(runs, int64(run))
		}
	}
	return runs
}

// isIdle reports whether nothing is left to be read.
func (a *adoption) isIdle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, read := range a.runs {
		if !read {
			return false
		}
	}
	return true
}

// run reads until the engine ends.
func (a *adoption) run() {
	for {
		a.mu.Lock()
		var next owned
		if len(a.queue) > 0 {
			next, a.queue = a.queue[0], a.queue[1:]
		}
		epoch := a.epoch
		a.mu.Unlock()
		if next.run != 0 {
			a.read(next, epoch)
			continue
		}
		select {
		case <-a.e.ctx.Done():
			return
		case <-a.wake:
		}
	}
}

// read hands the jobs of a run to the user.
func (a *adoption) read(o owned, epoch int) {
	run := o.run
	begin, jobs := time.Now(), 0
	cursor, end := run<<38, (run+1)<<38
	for {
		chunkBegin := time.Now()
		chunk, err := a.chunk(cursor, end)
		if err != nil {
			if !a.pause(a.e.opts.retryEvery) {
				return
			}
			continue
		}
		if len(chunk) == 0 {
			break
		}
		cursor = chunk[len(chunk)-1].Number
		jobs += len(chunk)
		room, still := a.give(chunk, epoch)
		for still && !room {
			if !a.pause(a.e.opts.retryEvery / 4) {
				return
			}
			room, still = a.give(nil, epoch)
		}
		if !still {
			return
		}
		// The broker and the database have others to serve: a third of the time is theirs alone.
		if len(chunk) == store.AdoptMost && !a.pause(min(time.Since(chunkBegin)/2, adoptPause)) {
			return
		}
	}
	a.mu.Lock()
	if a.epoch == epoch {
		a.runs[run] = true
	}
	a.mu.Unlock()
	a.e.event(Event{Kind: TookOver, Text: "took over a run", Details: []any{
		"run", run, "node", o.node, "jobs", jobs, "took", time.Since(begin).Round(time.Millisecond),
	}})
}

// pause waits; false: the engine ends.
func (a *adoption) pause(d time.Duration) bool {
	select {
	case <-a.e.ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// chunk reads the next jobs of a run.
func (a *adoption) chunk(cursor, end uint64) (jobs []store.Job, err error) {
	ctx, cancel := context.WithTimeout(a.e.ctx, a.e.opts.Patience)
	defer cancel()
	pool, err := a.e.readers(ctx)
	if err != nil {
		return nil, err
	}
	return readChunk(ctx, pool, int64(cursor), int64(end))
}

// readChunk reads the next jobs behind a handle.
func readChunk(ctx context.Context, from interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}, cursor, end int64) (jobs []store.Job, err error) {
	rows, err := from.Query(ctx, chunkSQL, cursor, end, store.AdoptMost, chunkBytes)
	if err != nil {
		return nil, err
	}
	var handle, due int64
	var prio, retries int16
	var fn, uniq, reducer, data []byte
	var size int32
	_, err = pgx.ForEachRow(rows, []any{&handle, &due, &prio, &retries, &fn, &uniq, &reducer, &size, &data}, func() error {
		job := store.Job{
			Number: uint64(handle), Function: string(fn), Unique: string(uniq), Reducer: string(reducer), Due: due,
			Priority: store.Priority(prio), Retries: uint16(retries), Size: int(size), Ref: store.Ref(handle),
		}
		if data != nil {
			job.Argument = [][]byte{append(make([]byte, 0, len(data)), data...)}
		}
		jobs = append(jobs, job)
		return nil
	})
	return jobs, err
}

// give has the user adopt jobs. It reports whether there is room for more, and whether they are still this broker's.
func (a *adoption) give(chunk []store.Job, epoch int) (room, still bool) {
	done := make(chan struct{})
	a.e.call(func() {
		defer close(done)
		a.e.mu.Lock()
		a.mu.Lock()
		still = a.epoch == epoch // disowned ends the epoch before it forgets all jobs
		a.mu.Unlock()
		if !still {
			a.e.mu.Unlock()
			return
		}
		for i := range chunk {
			job := &chunk[i]
			cost := uint32(job.Size + len(job.Function) + len(job.Unique) + len(job.Reducer) + fixedSize)
			a.e.jobs[job.Number] = entry{size: cost, state: safe, large: job.Argument == nil && job.Size > 0}
			a.e.live += int64(cost)
		}
		a.e.mu.Unlock()
		room = a.e.events.Adopt(chunk)
	})
	<-done
	return room, still
}
