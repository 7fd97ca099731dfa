package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gearloop/store"
)

// commitAll is the committer.
func (e *Engine) commitAll() {
	timer := time.NewTimer(time.Hour)
	var lazySince time.Time
	for {
		wait, end := e.turn(&lazySince)
		if end {
			break
		}
		if wait <= 0 {
			continue
		}
		timer.Reset(wait)
		select {
		case <-e.wake:
		case <-timer.C:
		}
	}
	e.leave()
}

// turn does what is to be done now. It returns for how long nothing is if nobody rings, and that the engine has ended.
func (e *Engine) turn(lazySince *time.Time) (wait time.Duration, end bool) {
	e.mu.Lock()
	jobs, lazy, closed, wantsRun, suspicious := len(e.next.jobs), e.next.lazy(), e.closed, e.wantsRun, e.suspicious
	e.mu.Unlock()
	if e.session == nil || e.me == 0 {
		if closed && e.doubt == nil && jobs+lazy == 0 {
			return 0, true
		}
		if err := e.resume(); err != nil {
			return e.away(err), closed && e.failure() != nil
		}
	}
	if wantsRun && !closed {
		return e.after(e.openRun()), false
	}
	if e.doubt == nil && jobs == 0 {
		switch {
		case closed && lazy == 0:
			return 0, true
		case e.failure() != nil, suspicious: // is it over?
		case closed, lazy >= lazyMost:
		case lazy == 0:
			*lazySince = time.Time{}
			return time.Hour, false
		default:
			now := time.Now()
			if lazySince.IsZero() {
				*lazySince = now
			}
			if wait = lazySince.Add(e.opts.lazyFor).Sub(now); wait > 0 {
				return wait, false
			}
		}
	}
	*lazySince = time.Time{}
	b := e.doubt
	if b == nil {
		b = e.cut()
	}
	err := e.commit(b)
	if err != nil && e.failure() != nil && e.isClosed() {
		return 0, true
	}
	return e.after(err), false
}

// after says how long to wait after an attempt.
func (e *Engine) after(err error) time.Duration {
	switch {
	case err == nil:
		e.recovered()
		return 0
	case errors.Is(err, errFenced):
		e.disowned()
		return 0
	}
	return e.away(err)
}

func (e *Engine) failure() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.failed
}

func (e *Engine) isClosed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed
}

// cut takes what has gathered, up to the size of a batch.
func (e *Engine) cut() *batch {
	e.mu.Lock()
	defer e.mu.Unlock()
	b := e.next
	e.next = &batch{}
	if n := b.most(); n < len(b.jobs) {
		// What does not go with it stays ahead of all that comes.
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

// commit stores a batch and tells those who wait. With an error the batch is in doubt, or nothing of it was stored;
// it stays, to be tried again.
func (e *Engine) commit(b *batch) error {
	e.doubt = b
	begin := time.Now()
	if err := e.writeArguments(b); err != nil {
		return e.lost(err)
	}
	if err := e.store(b); err != nil {
		return e.lost(err)
	}
	e.committed(b, time.Since(begin))
	e.settle(b)
	return nil
}

// patience is how long a call may take: as long as jobs wait for its outcome, and when none does not less.
func (e *Engine) patience() time.Duration {
	switch {
	case e.opts.callLimit > 0:
		return e.opts.callLimit
	case e.since.IsZero() || e.failure() != nil:
		return e.opts.Patience
	}
	return max(e.opts.Patience-time.Since(e.since), e.opts.Patience/10)
}

// lost lets go of a connection that does not answer any more.
func (e *Engine) lost(err error) error {
	if e.session != nil && (faultOf(err) == unknown && !errors.Is(err, errFenced) || e.session.IsClosed()) {
		e.drop()
	}
	return err
}

// drop closes the connection without a word: what it was doing is not known.
func (e *Engine) drop() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	e.session.Close(ctx)
	e.session = nil
}

// store sends what is still to be stored of a batch. A job that the database refuses costs itself alone: what is
// refused is halved.
func (e *Engine) store(b *batch) error {
	w := &work{ended: b.ended, args: b.args}
	for number, u := range b.updated {
		w.updated = append(w.updated, int64(number))
		w.retries = append(w.retries, int16(u.retries))
		w.prio = append(w.prio, int16(u.priority))
	}
	for i := range b.jobs {
		if p := &b.jobs[i]; !p.over && !p.settled {
			w.jobs = append(w.jobs, p)
		}
	}
	return e.storePart(b, w)
}

func (e *Engine) storePart(b *batch, w *work) error {
	ctx, cancel := context.WithTimeout(e.ctx, e.patience())
	defer cancel()
	missing, err := e.send(ctx, e.session, b, w)
	if err != nil {
		if faultOf(err) != refusal || errors.Is(err, errFenced) || len(w.jobs) == 0 {
			return err
		}
		if len(w.jobs) == 1 && len(w.ended)+len(w.updated) == 0 {
			w.jobs[0].settled, w.jobs[0].outcome = true, failure(err)
			return nil
		}
		half := len(w.jobs) / 2
		first := *w
		first.jobs = w.jobs[:half]
		if err := e.storePart(b, &first); err != nil {
			return err
		}
		return e.storePart(b, &work{jobs: w.jobs[half:]})
	}
	if err := e.resolve(ctx, missing); err != nil {
		return err
	}
	for _, p := range w.jobs {
		p.settled = p.settled || !p.elsewhere
	}
	return nil
}

// settle calls the receipts of a batch, and is done with it.
func (e *Engine) settle(b *batch) {
	e.doubt = nil
	var contested []*pending
	e.mu.Lock()
	e.writing = 0
	for i := range b.jobs {
		p := &b.jobs[i]
		if p.elsewhere {
			contested = append(contested, p)
			continue
		}
		j, ok := e.jobs[p.number]
		switch {
		case !ok || p.over:
		case p.outcome != nil:
			e.forget(p.number)
		default:
			j.state = safe
			e.jobs[p.number] = j
		}
	}
	e.mu.Unlock()
	if len(b.jobs) > len(contested) {
		e.tell(func() {
			for i := range b.jobs {
				if p := &b.jobs[i]; !p.elsewhere {
					p.receipt.Stored(store.Ref(p.number), p.outcome)
				}
			}
		})
	}
	for _, p := range contested {
		e.contest(b, p)
	}
}

// resume connects again, and gets the broker a place in the fence if it has none.
func (e *Engine) resume() error {
	ctx, cancel := context.WithTimeout(e.ctx, min(e.patience(), connectLimit))
	defer cancel()
	if e.session == nil {
		if err := e.connect(ctx); err != nil {
			return err
		}
	}
	if e.me != 0 {
		return nil
	}
	if err := e.enroll(ctx); err != nil {
		return e.lost(err)
	}
	e.opened()
	e.heart.ring()
	return nil
}

// opened tells of the run that the broker has now.
func (e *Engine) opened() {
	e.mu.Lock()
	run := e.run
	e.wantsRun = false
	e.mu.Unlock()
	e.tell(func() { e.events.Opened(run) })
}

// openRun opens one more run, under the same place in the fence.
func (e *Engine) openRun() error {
	ctx, cancel := context.WithTimeout(e.ctx, e.patience())
	defer cancel()
	if err := e.ask("open a run"); err != nil {
		return e.lost(err)
	}
	run, err := e.addRun(ctx, e.me)
	if err != nil {
		return e.lost(err)
	}
	e.mu.Lock()
	e.run, e.runs[run] = run, true
	e.mu.Unlock()
	e.opened()
	return nil
}

// recovered notes that jobs are stored.
func (e *Engine) recovered() {
	e.since = time.Time{}
	e.mu.Lock()
	e.activity.Since = time.Time{}
	e.suspicious = false
	was := e.failed
	e.failed = nil
	e.mu.Unlock()
	if was != nil && e.reports {
		e.reports = false
		if e.opts.Fault != nil {
			e.opts.Fault(nil)
		}
	}
}

// away notes that the database can't be reached or does not store. It returns when to try again. Jobs wait as long as
// the user's patience lasts; then all of them are refused, and what comes is refused at once.
func (e *Engine) away(err error) time.Duration {
	now := time.Now()
	if e.since.IsZero() {
		e.since = now
	}
	e.mu.Lock()
	e.activity.Failures++
	e.activity.Since = e.since
	e.mu.Unlock()
	left := e.opts.Patience - now.Sub(e.since)
	if faultOf(err) == full || e.isClosed() && left > e.opts.retryEvery*4 {
		left = 0
	}
	if left > 0 && e.failure() == nil {
		return min(left, e.opts.retryEvery)
	}
	e.refuse(failure(err))
	return e.opts.retryEvery
}

// failure makes an ErrFailed.
func failure(err error) error {
	if errors.Is(err, store.ErrFailed) {
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrFailed, err)
}

// refuse refuses all jobs that wait. What of them may have been stored is let go of as soon as that is possible.
func (e *Engine) refuse(failed error) {
	e.mu.Lock()
	first := e.failed == nil || !e.reports
	e.failed = failed
	next := e.next
	e.next = &batch{updated: next.updated}
	if d := e.doubt; d != nil {
		e.next.ended, e.next.args = d.ended, d.args
		for number, u := range d.updated {
			if _, newer := e.next.updated[number]; !newer {
				if e.next.updated == nil {
					e.next.updated = map[uint64]update{}
				}
				e.next.updated[number] = u
			}
		}
	}
	e.next.ended = append(e.next.ended, next.ended...)
	e.next.args = append(e.next.args, next.args...)
	e.writing = 0
	var lost []*pending
	for _, b := range []*batch{e.doubt, next} {
		if b == nil {
			continue
		}
		for i := range b.jobs {
			p := &b.jobs[i]
			p.elsewhere = false // nobody has begun to ask for it
			lost = append(lost, p)
			if p.over {
				continue
			}
			if p.settled && p.outcome == nil {
				if j, ok := e.jobs[p.number]; ok {
					j.state = safe
					e.jobs[p.number] = j
				}
				continue
			}
			p.outcome = failed
			e.forget(p.number)
			if b == e.doubt {
				e.next.ended = append(e.next.ended, int64(p.number))
				if p.argument != nil {
					e.next.args = append(e.next.args, int64(p.number))
				}
			}
		}
	}
	e.mu.Unlock()
	e.doubt = nil
	if len(lost) > 0 {
		e.tell(func() {
			for _, p := range lost {
				p.receipt.Stored(store.Ref(p.number), p.outcome)
			}
		})
	}
	if first && e.opts.Fault != nil {
		e.reports = true
		e.opts.Fault(failed)
	}
}

// leave ends the engine: what it has is let go of, for others.
func (e *Engine) leave() {
	e.heart.stop()
	e.mu.Lock()
	ends, failed := e.next.lazy(), e.failed
	e.mu.Unlock()
	switch {
	case e.me == 0: // never there
		e.ended = nil
		if ends > 0 {
			e.ended = failed
		}
	case failed != nil && ends > 0:
		e.ended = fmt.Errorf("%w; the ends of up to %d jobs could not be stored: these jobs are done again", failed, ends)
	case failed != nil:
		e.ended = failed
	default:
		if err := e.release(); err != nil {
			e.event(Event{Warning: true, Text: "jobs could not be let go of: another broker takes them over after the lease",
				Details: []any{"error", err}})
		}
	}
	if e.session != nil {
		ctx, cancel := context.WithTimeout(context.Background(), connectLimit)
		e.session.Close(ctx)
		cancel()
	}
	go e.end()
}

// end waits for all goroutines.
func (e *Engine) end() {
	e.cancel()
	e.closePool()
	e.rooms.Wait()
	close(e.calls)
}
