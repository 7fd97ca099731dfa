package postgres

import (
	"context"
	"errors"
	"time"

	"gearloop/store"
)

// resolve finds out why the database has not taken jobs. Some are there: the batch was sent before. Some have the unique id
// of another job; whether that one still lives only its owner knows.
func (e *Engine) resolve(ctx context.Context, missing []*pending) error {
	for attempt := 0; len(missing) > 0; attempt++ {
		byKey, there, err := e.holders(ctx, e.session, missing)
		if err != nil {
			return err
		}
		var rest []*pending
		for _, p := range missing {
			holder, held := byKey[p.key.Bytes]
			switch {
			case there[p.number]:
				p.settled = true
			case p.key.Valid && held && e.has(holder):
				// Two of ours: one was taken over from a broker that had a job with the same unique id.
				p.key.Valid = false
				rest = append(rest, p)
			case p.key.Valid && held || attempt == maxAttempts:
				p.elsewhere, p.holder = true, holder
			default: // it has just ended
				rest = append(rest, p)
			}
		}
		if len(rest) == 0 {
			return nil
		}
		if missing, err = e.send(ctx, e.session, e.doubt, &work{jobs: rest}); err != nil {
			return err
		}
	}
	return nil
}

// maxAttempts is how often a job whose way was free a moment ago is sent again at once.
const maxAttempts = 3

// has reports whether a job lives and is this broker's.
func (e *Engine) has(number uint64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, ok := e.jobs[number]
	return ok
}

// contest finds out, beside the batches, whether the job lives that has the unique id of p.
func (e *Engine) contest(b *batch, p *pending) {
	from := p.start
	to := from + int(p.fn+p.uniq+p.reducer)
	if p.argument == nil {
		to += p.size
	}
	data := append([]byte(nil), b.data[from:to]...)
	q := *p
	q.start, q.elsewhere = 0, false
	e.rooms.Go(func() {
		if outcome, decided := e.decide(&q); decided || !e.requeue(&q, data, &outcome) {
			e.answer(&q, outcome)
		}
	})
}

// decide waits until it is known what the holder of a unique id is doing. It returns what the submitter is told;
// false: the holder has ended, so the job is to be stored after all.
func (e *Engine) decide(p *pending) (outcome error, decided bool) {
	for end := time.Now().Add(e.opts.Takeover + e.opts.Beat); ; {
		ctx, cancel := context.WithTimeout(e.ctx, e.opts.Beat)
		st, err := e.known(ctx, p.holder)
		cancel()
		switch {
		case err == nil && st.Known:
			return &store.UniqueTaken{Number: p.holder}, true
		case err == nil:
			return nil, false
		case e.ctx.Err() != nil:
			return store.ErrClosed, true
		case time.Now().After(end):
			return failure(errSilent), true
		}
		select {
		case <-time.After(e.opts.retryEvery / 4):
		case <-e.ctx.Done():
		}
	}
}

var errSilent = errors.New("the broker that has a job with the same unique id does not answer")

// requeue puts a job among those that are to be stored. It is false, with an outcome, if none is any more.
func (e *Engine) requeue(p *pending, data []byte, outcome *error) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	j, ok := e.jobs[p.number]
	switch {
	case !ok: // it has ended, or went with all others to another broker, where it never was: it is not stored
		*outcome = failure(errFenced)
	case e.closed:
		*outcome = store.ErrClosed
	case e.failed != nil:
		*outcome = e.failed
	default:
		p.start = len(e.next.data)
		e.next.data = append(e.next.data, data...)
		j.state, j.pos = gathered, int32(len(e.next.jobs))
		e.jobs[p.number] = j
		e.next.jobs = append(e.next.jobs, *p)
		e.next.bytes += p.cost()
		e.ring()
		return true
	}
	return false
}

// answer tells the submitter of one job.
func (e *Engine) answer(p *pending, outcome error) {
	e.mu.Lock()
	if outcome != nil {
		if p.argument != nil {
			e.next.args = append(e.next.args, int64(p.number))
			e.next.ended = append(e.next.ended, int64(p.number))
		}
		e.forget(p.number)
	}
	e.mu.Unlock()
	e.tell(func() { p.receipt.Stored(store.Ref(p.number), outcome) })
}
