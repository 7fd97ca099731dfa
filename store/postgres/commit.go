package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gearloop/store"
)

// commitAll is the committer: it writes batches until the engine is closed and nothing is left to write.
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

// turn does the next step: connect, open a run, or write a batch. It returns how long the committer may sleep unless
// it is woken, and whether the engine has ended.
func (e *Engine) turn(lazySince *time.Time) (wait time.Duration, end bool) {
	e.mu.Lock()
	jobs, lazy, closed, wantsRun, suspicious := len(e.next.jobs), e.next.lazy(), e.closed, e.wantsRun, e.suspicious
	e.mu.Unlock()
	if e.session == nil || e.me == 0 {
		if closed && e.doubt == nil && jobs+lazy == 0 {
			return 0, e.finish(true)
		}
		if err := e.resume(); err != nil {
			return e.outage(err), closed && e.failure() != nil
		}
	}
	if wantsRun && !closed {
		return e.after(e.openRun()), false
	}
	if e.doubt == nil && jobs == 0 {
		switch {
		case closed && lazy == 0:
			return contestPause, e.finish(false)
		case e.failure() != nil, suspicious: // an empty batch finds out whether the database stores, and the fence holds
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

// after returns how long to wait after an attempt.
func (e *Engine) after(err error) time.Duration {
	switch {
	case err == nil:
		e.recovered()
		return 0
	case errors.Is(err, errFenced):
		e.disowned()
		return 0
	}
	return e.outage(err)
}

// commit stores a batch and calls its receipts. After an error the batch stays, to be sent again: it was not
// committed, or nobody knows.
func (e *Engine) commit(b *batch) error {
	e.doubt = b
	begin := time.Now()
	if err := e.writeArguments(b); err != nil {
		return e.dropLost(err)
	}
	if err := e.store(b); err != nil {
		return e.dropLost(err)
	}
	e.committed(b, time.Since(begin))
	e.receipts(b)
	return nil
}

// patience is how long one call to the database may take: what is left of Options.Patience while jobs wait for its
// outcome, otherwise all of it.
func (e *Engine) patience() time.Duration {
	switch {
	case e.opts.callLimit > 0:
		return e.opts.callLimit
	case e.since.IsZero() || e.failure() != nil:
		return e.opts.Patience
	}
	return max(e.opts.Patience-time.Since(e.since), e.opts.Patience/10)
}

// limited returns the context of one call of the committer to the database. Close ends it early (closeLimit).
func (e *Engine) limited() (context.Context, context.CancelFunc) {
	return context.WithTimeout(e.closing, e.patience())
}

// dropLost closes the committer's connection if an error says that it is lost. It returns the error.
func (e *Engine) dropLost(err error) error {
	if e.session != nil && (faultOf(err) == unknown && !errors.Is(err, errFenced) || e.session.IsClosed()) {
		e.drop()
	}
	return err
}

// drop closes the committer's connection without waiting for the server.
func (e *Engine) drop() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	e.session.Close(ctx)
	e.session = nil
	e.connected.Store(false)
	if !e.lost && !e.isClosed() {
		e.lost = true
		e.event(Event{Kind: Lost, Warning: true, Text: "the connection to the database is lost; background submissions wait"})
	}
}

// store sends those jobs of a batch whose outcome is not known yet, and its ends. A job that the database refuses does
// not take others with it: a refused transaction is halved.
func (e *Engine) store(b *batch) error {
	w := &work{ended: b.ended, args: b.args}
	for number, u := range b.updated {
		w.updated = append(w.updated, int64(number))
		w.retries = append(w.retries, int16(u.retries))
		w.prio = append(w.prio, int16(u.priority))
	}
	for i := range b.jobs {
		if p := &b.jobs[i]; !p.over && !p.known {
			p.elsewhere = false // what an attempt found whose transaction was lost
			w.jobs = append(w.jobs, p)
		}
	}
	return e.storePart(b, w)
}

func (e *Engine) storePart(b *batch, w *work) error {
	ctx, cancel := e.limited()
	defer cancel()
	missing, err := e.send(ctx, e.session, b, w)
	if err != nil {
		if faultOf(err) != refusal || errors.Is(err, errFenced) || len(w.jobs) == 0 {
			return err
		}
		if len(w.jobs) == 1 && len(w.ended)+len(w.updated) == 0 {
			w.jobs[0].known, w.jobs[0].outcome = true, failure(err)
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
		p.known = p.known || !p.elsewhere
	}
	return nil
}

// receipts calls the receipts of a batch that is committed. Those of contested jobs come later.
func (e *Engine) receipts(b *batch) {
	e.doubt = nil
	now := time.Now()
	contested := 0
	e.mu.Lock()
	e.writing = 0
	for i := range b.jobs {
		p := &b.jobs[i]
		if p.elsewhere {
			if p.outcome = e.mayContest(p, now); p.outcome == nil {
				contested++
				e.setAside(p.number)
				continue
			}
			p.elsewhere = false
		}
		j, ok := e.jobs[p.number]
		switch {
		case !ok || p.over:
		case p.outcome != nil:
			e.forget(p.number)
			e.dropArgument(p)
		default:
			j.state = safe
			e.jobs[p.number] = j
		}
	}
	e.mu.Unlock()
	if len(b.jobs) > contested {
		e.call(func() {
			for i := range b.jobs {
				if p := &b.jobs[i]; !p.elsewhere {
					p.receipt.Stored(store.Ref(p.number), p.outcome)
				}
			}
		})
	}
	if contested > 0 {
		e.contest(b)
	}
}

// resume connects again, and gets the broker a place in the fence if it has none.
func (e *Engine) resume() error {
	ctx, cancel := context.WithTimeout(e.closing, min(e.patience(), connectLimit))
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
		return e.dropLost(err)
	}
	e.announceRun()
	e.heart.ring()
	return nil
}

// announceRun calls Opened with the run that new jobs get numbers of.
func (e *Engine) announceRun() {
	e.mu.Lock()
	run := e.run
	e.wantsRun = false
	e.mu.Unlock()
	e.call(func() { e.events.Opened(run) })
}

// openRun opens one more run, under the same place in the fence.
func (e *Engine) openRun() error {
	ctx, cancel := e.limited()
	defer cancel()
	if err := e.ask("open a run"); err != nil {
		return e.dropLost(err)
	}
	run, err := e.addRun(ctx, e.me)
	if err != nil {
		return e.dropLost(err)
	}
	e.mu.Lock()
	e.run, e.runs[run] = run, true
	e.mu.Unlock()
	e.announceRun()
	return nil
}

// leave ends the engine: it releases its runs, so that others adopt their jobs at once.
func (e *Engine) leave() {
	e.heart.stop()
	e.endContests(store.ErrClosed)
	e.mu.Lock()
	ends, failed := e.next.lazy(), e.failed
	e.mu.Unlock()
	switch {
	case e.me == 0: // it never had a place among the brokers
		e.ended = nil
		if ends > 0 {
			e.ended = failed
		}
	case failed != nil && ends > 0:
		e.ended = fmt.Errorf("%w; ends of jobs that could not be stored, and are done again: up to %d", failed, ends)
	case failed != nil:
		e.ended = failed
	default:
		if err := e.release(); err != nil {
			e.event(Event{Warning: true, Text: "the stored jobs could not be released: another broker adopts them after the lease",
				Details: []any{"error", err}})
		}
	}
	if e.session != nil {
		ctx, cancel := context.WithTimeout(context.Background(), goodbyeLimit)
		e.session.Close(ctx)
		cancel()
	}
	go e.end()
}

// end waits for all goroutines that call the user.
func (e *Engine) end() {
	e.cancel()
	e.closePool()
	e.rooms.Wait()
	close(e.calls)
}
