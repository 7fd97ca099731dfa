package postgres

import (
	"context"
	"errors"
	"sync"
	"time"

	"gearloop/store"
)

// resolve finds out why the database has not stored jobs. Some are there: the batch was sent before. Some have the
// unique id of another job. If that one is this broker's it lives, and the job is not stored, or it has ended, and is deleted
// if its end was not written yet; otherwise only its owner knows whether it lives, and the job is contested.
func (e *Engine) resolve(ctx context.Context, missing []*pending) error {
	for attempt := 0; len(missing) > 0; attempt++ {
		byKey, there, err := e.holders(ctx, e.session, missing)
		if err != nil {
			return err
		}
		again := &work{}
		for _, p := range missing {
			holder, held := byKey[p.key.Bytes]
			held = held && p.key.Valid
			switch {
			case there[p.number]:
				p.known = true
			case held && e.has(holder):
				// It was taken over meanwhile: the submitter joins it, as when its owner is asked.
				p.known, p.outcome = true, &store.UniqueTaken{Number: holder}
			case held && attempt < maxAttempts && e.adoption.hasRead(store.RunOf(holder)):
				// One of ours that is not in memory has ended, or was refused when nobody knew whether it was stored.
				again.ended = append(again.ended, int64(holder))
				again.args = append(again.args, int64(holder))
				again.jobs = append(again.jobs, p)
			case held || attempt == maxAttempts:
				p.elsewhere, p.holder = true, holder
			default: // the holder has just been deleted
				again.jobs = append(again.jobs, p)
			}
		}
		if len(again.jobs) == 0 {
			return nil
		}
		if missing, err = e.send(ctx, e.session, e.doubt, again); err != nil {
			return err
		}
	}
	return nil
}

// maxAttempts is how often a job is sent again at once because its unique id seems to be free.
const maxAttempts = 3

// has reports whether a job lives and is this broker's.
func (e *Engine) has(number uint64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, ok := e.jobs[number]
	return ok
}

// living returns how many jobs live and are this broker's.
func (e *Engine) living() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.jobs)
}

// contest is what a pending job keeps from one attempt to the next while another broker's job has its unique id.
type contest struct {
	end   time.Time // when it is refused; zero: it was never contested
	tries int       // how often the owner said that the other job has ended
}

// contested is a job whose unique id a job of another broker has. It waits beside the batches until the owner says
// whether that job lives. Its receipt comes from whoever removes it from contests.all.
type contested struct {
	pending
	data []byte    // its strings and argument
	at   time.Time // not before: the next step, in contests.later
	free bool      // the next step is to store it, otherwise to ask
}

// contests are all contested jobs. mu is held while their receipts are called, so that those of a lost run come before
// Disowned; whoever holds it may lock Engine.mu, not the other way around.
type contests struct {
	mu    sync.Mutex
	all   map[*contested]bool // true: the owner is being asked
	fresh []*contested        // to be asked about at once; some are not in all any more, here and in later
	later []*contested        // in the order of at: all of them wait as long
	wake  chan struct{}

	// Guarded by Engine.mu.
	bytes   int64             // of all
	updated map[uint64]update // what Update says of them: they have no row yet
}

var (
	errSilent  = errors.New("the broker that has a job with the same unique id does not answer")
	errHeld    = errors.New("a job of another broker keeps the unique id, though that broker does not know it")
	errCrowded = errors.New("too many jobs wait for other brokers' answers about their unique ids")
)

// mayContest reserves memory for a contested job. The error is the job's outcome if there is none, or if it was
// contested for too long. The engine is locked.
func (e *Engine) mayContest(p *pending, now time.Time) error {
	cost := p.cost()
	switch {
	case e.closing.Err() != nil:
		return store.ErrClosed
	case p.contest.end.IsZero():
		p.contest.end = now.Add(e.opts.Takeover + e.opts.Beat)
	case now.After(p.contest.end):
		return failure(errHeld)
	}
	if e.contests.bytes > 0 && e.contests.bytes+cost > e.opts.MaxQueued/contestShare {
		return failure(errCrowded)
	}
	e.contests.bytes += cost
	return nil
}

// setAside notes that a job has left its batch. An update that came since the batch was cut waits with it. The engine is
// locked.
func (e *Engine) setAside(number uint64) {
	j, living := e.jobs[number]
	if !living {
		return
	}
	j.state = aside
	e.jobs[number] = j
	if u, ok := e.next.updated[number]; ok {
		e.contests.updated[number] = u
		delete(e.next.updated, number)
	}
}

// contestShare is the part of Options.MaxQueued that contested jobs may take, as a divisor.
const contestShare = 4

// dropArgument deletes the large argument of a job that is refused; its row was never stored. The engine is locked.
func (e *Engine) dropArgument(p *pending) {
	if p.argument != nil {
		e.next.ended = append(e.next.ended, int64(p.number))
		e.next.args = append(e.next.args, int64(p.number))
	}
}

// contest moves the contested jobs of a batch, for which mayContest has reserved memory, beside the batches.
func (e *Engine) contest(b *batch) {
	c := &e.contests
	c.mu.Lock()
	for i := range b.jobs {
		p := &b.jobs[i]
		if !p.elsewhere {
			continue
		}
		length := int(p.fn + p.uniq + p.reducer)
		if p.argument == nil {
			length += p.size
		}
		job := &contested{pending: *p, data: append([]byte(nil), b.data[p.start:p.start+length]...)}
		job.start, job.elsewhere = 0, false
		c.all[job] = false
		if p.contest.tries > 0 {
			e.putOff(job)
		} else {
			c.fresh = append(c.fresh, job)
		}
	}
	c.mu.Unlock()
	c.ring()
}

// putOff has the next step of a contested job come after a pause. contests is locked.
func (e *Engine) putOff(job *contested) {
	job.at = time.Now().Add(e.opts.retryEvery / 4)
	e.contests.later = append(e.contests.later, job)
}

func (c *contests) ring() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// contestAll carries out the next steps of contested jobs.
func (e *Engine) contestAll() {
	timer := time.NewTimer(time.Hour)
	for {
		timer.Reset(e.contestTurn(time.Now()))
		select {
		case <-e.ctx.Done():
			return
		case <-e.contests.wake:
		case <-timer.C:
		}
	}
}

// contestTurn asks the owners about all jobs whose time has come, and returns when the next one's comes.
func (e *Engine) contestTurn(now time.Time) (wait time.Duration) {
	c := &e.contests
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, job := range c.fresh {
		e.step(job)
	}
	c.fresh = nil
	for len(c.later) > 0 {
		job := c.later[0]
		if _, there := c.all[job]; there {
			if wait = job.at.Sub(now); wait > 0 {
				return wait
			}
			e.step(job)
		}
		c.later[0] = nil
		c.later = c.later[1:]
	}
	return time.Hour
}

// step does the next step of a contested job: it is stored, or its owner asked. contests is locked.
func (e *Engine) step(job *contested) {
	c := &e.contests
	switch _, there := c.all[job]; {
	case !there:
	case job.free:
		e.tryAgain(job)
	default:
		c.all[job] = true
		e.inquiry.add(question{number: job.holder, answer: func(st store.Status, err error) { e.judge(job, st, err) }})
	}
}

// judge decides about a contested job when the owner of the other one has been asked.
func (e *Engine) judge(job *contested, st store.Status, err error) {
	c := &e.contests
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.all[job]; !there {
		return // it has its receipt
	}
	now := time.Now()
	c.all[job] = false
	switch {
	case err == nil && st.Known:
		e.conclude(job, &store.UniqueTaken{Number: job.holder})
		return
	case err == nil: // it has ended; its row goes a moment later
		if job.contest.tries++; job.contest.tries == 1 {
			e.tryAgain(job)
			return
		}
		job.free = true
	case now.After(job.contest.end):
		e.conclude(job, failure(errSilent))
		return
	}
	e.putOff(job)
	c.ring()
}

// tryAgain puts a contested job among those of the next batch. contests is locked.
func (e *Engine) tryAgain(job *contested) {
	e.mu.Lock()
	j, living := e.jobs[job.number]
	var outcome error
	switch {
	case !living: // it has ended meanwhile
		outcome = failure(errors.New("the job has ended"))
	case e.finished:
		outcome = store.ErrClosed
	case e.failed != nil:
		outcome = e.failed
	}
	if outcome != nil {
		e.mu.Unlock()
		e.conclude(job, outcome)
		return
	}
	delete(e.contests.all, job)
	p := job.pending
	if u, ok := e.contests.updated[p.number]; ok {
		p.retries, p.priority = u.retries, u.priority
		delete(e.contests.updated, p.number)
	}
	e.contests.bytes -= p.cost()
	p.start = len(e.next.data)
	e.next.data = append(e.next.data, job.data...)
	j.state, j.pos = gathered, int32(len(e.next.jobs))
	e.jobs[p.number] = j
	e.next.jobs = append(e.next.jobs, p)
	e.next.bytes += p.cost()
	e.mu.Unlock()
	e.ring()
}

// conclude calls the receipt of a contested job, which is not stored. contests is locked.
func (e *Engine) conclude(job *contested, outcome error) {
	e.mu.Lock()
	e.dropContested(job)
	e.mu.Unlock()
	e.call(func() { job.receipt.Stored(store.Ref(job.number), outcome) })
}

// dropContested forgets a contested job. contests and the engine are locked.
func (e *Engine) dropContested(job *contested) {
	delete(e.contests.all, job)
	e.contests.bytes -= job.cost()
	e.dropArgument(&job.pending)
	e.forget(job.number)
}

// contestPause is how long a closed engine waits between two looks whether contested jobs are left.
const contestPause = 5 * time.Millisecond

// finish reports whether a closed engine may end: no job waits to be stored or, unless forced or for too long, for an
// answer. From then on none comes back from contests.
func (e *Engine) finish(force bool) bool {
	c := &e.contests
	c.mu.Lock()
	defer c.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.finished = len(e.next.jobs) == 0 && (force || len(c.all) == 0 || e.closing.Err() != nil)
	return e.finished
}

// endContests calls the receipts of all contested jobs with an error.
func (e *Engine) endContests(outcome error) {
	c := &e.contests
	c.mu.Lock()
	defer c.mu.Unlock()
	var jobs []*contested
	e.mu.Lock()
	for job := range c.all {
		jobs = append(jobs, job)
		e.dropContested(job)
	}
	e.mu.Unlock()
	c.fresh, c.later = nil, nil
	if len(jobs) > 0 {
		e.call(func() {
			for _, job := range jobs {
				job.receipt.Stored(store.Ref(job.number), outcome)
			}
		})
	}
}
