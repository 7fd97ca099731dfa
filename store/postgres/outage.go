package postgres

import (
	"errors"
	"fmt"
	"time"

	"gearloop/store"
)

// outage notes that the database can't be reached or does not store, and returns when to try again. Jobs wait for
// Options.Patience; then all of them are refused, and later ones at once.
func (e *Engine) outage(err error) time.Duration {
	now := time.Now()
	if e.since.IsZero() {
		e.since = now
	}
	e.mu.Lock()
	e.activity.Failures++
	e.activity.Since = e.since
	e.mu.Unlock()
	left := e.opts.Patience - now.Sub(e.since)
	if faultOf(err) == full || e.closing.Err() != nil || e.isClosed() && left > e.opts.retryEvery*4 {
		left = 0
	}
	if left > 0 && e.failure() == nil {
		return min(left, e.opts.retryEvery)
	}
	e.refuse(failure(err))
	return e.opts.retryEvery
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
	for _, ev := range e.arrived {
		e.event(ev)
	}
	e.arrived, e.lost = nil, false
	if was != nil && e.reported {
		e.reported = false
		if e.opts.Fault != nil {
			e.opts.Fault(nil)
		}
	}
}

// refuse refuses all jobs that wait for a batch, and those of the batch in doubt. What of the latter may have been
// stored is deleted with the next batch that the database takes.
func (e *Engine) refuse(failed error) {
	e.mu.Lock()
	first := e.failed == nil || !e.reported
	e.failed = failed
	doubt, next := e.doubt, e.next
	e.next = &batch{updated: next.updated}
	if doubt != nil {
		e.next.ended, e.next.args = doubt.ended, doubt.args
		for number, u := range doubt.updated {
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
	var refused []*pending
	for _, b := range []*batch{doubt, next} {
		if b == nil {
			continue
		}
		for i := range b.jobs {
			p := &b.jobs[i]
			refused = append(refused, p)
			if p.over {
				continue
			}
			if p.known && p.outcome == nil {
				if j, ok := e.jobs[p.number]; ok {
					j.state = safe
					e.jobs[p.number] = j
				}
				continue
			}
			p.outcome = failed
			e.forget(p.number)
			if b == doubt {
				e.next.ended = append(e.next.ended, int64(p.number))
				if p.argument != nil {
					e.next.args = append(e.next.args, int64(p.number))
				}
			}
		}
	}
	e.mu.Unlock()
	e.doubt = nil
	if len(refused) > 0 {
		e.call(func() {
			for _, p := range refused {
				p.receipt.Stored(store.Ref(p.number), p.outcome)
			}
		})
	}
	if first && e.opts.Fault != nil && !errors.Is(failed, errFenced) { // Disowned says that one
		e.reported = true
		e.opts.Fault(failed)
	}
}

// failure makes an ErrFailed.
func failure(err error) error {
	if errors.Is(err, store.ErrFailed) {
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrFailed, err)
}

// failure returns why jobs are refused, nil while they are not.
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
