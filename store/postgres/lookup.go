package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"gearloop/store"
)

// lookup is a question for a job of another broker.
type lookup struct {
	number uint64
	answer func(store.Status)
}

// lookupsAtOnce is how many questions are under way at a time.
const lookupsAtOnce = 4

// Lookup implements store.Store. When too many questions wait, a job is not known.
func (e *Engine) Lookup(number uint64, answer func(store.Status)) bool {
	select {
	case e.lookups <- lookup{number, answer}:
		return true
	default:
		return false
	}
}

func (e *Engine) lookUpAll() {
	for {
		select {
		case <-e.ctx.Done():
			return
		case l := <-e.lookups:
			ctx, cancel := context.WithTimeout(e.ctx, e.opts.Beat)
			st, err := e.known(ctx, l.number)
			cancel()
			if err != nil { // asking its owner may have taken all of that time
				ctx, cancel := context.WithTimeout(e.ctx, e.opts.Beat)
				st = e.inTable(ctx, l.number)
				cancel()
			}
			e.tell(func() { l.answer(st) })
		}
	}
}

// errPending: it is not known yet.
var errPending = errors.New("the job is being taken over")

// known returns what the owner of a job knows of it.
func (e *Engine) known(ctx context.Context, number uint64) (st store.Status, err error) {
	pool, err := e.readers(ctx)
	if err != nil {
		return st, err
	}
	var owner int64
	var address string
	err = pool.QueryRow(ctx, `select o.run, o.address from run r join run o on o.run = r.owner where r.run = $1`,
		int64(store.RunOf(number))).Scan(&owner, &address)
	switch {
	case errors.Is(err, pgx.ErrNoRows): // a run goes when none of its jobs lives
		return st, nil
	case err != nil:
		return st, err
	case uint64(owner) == e.heart.run0():
		if st.Known = e.has(number); !st.Known && !e.adoption.hasRead(store.RunOf(number)) {
			return st, errPending
		}
		return st, nil
	case e.opts.Ask == nil:
		return e.inTable(ctx, number), nil
	}
	return e.opts.Ask(ctx, address, number)
}

// inTable returns what the table knows of a job, whose owner is silent.
func (e *Engine) inTable(ctx context.Context, number uint64) (st store.Status) {
	if pool, err := e.readers(ctx); err == nil {
		_ = pool.QueryRow(ctx, `select exists (select from job where handle = $1)`, int64(number)).Scan(&st.Known)
	}
	return st
}
