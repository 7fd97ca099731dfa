package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/jackc/pgx/v5"

	"gearloop/store"
)

const (
	putPieceSQL = `insert into arg (handle, part, data)
		select $2, $3, $4 where exists (select from run where run = $1 and owner = $1)
		on conflict (handle, part) do update set data = excluded.data`

	getPieceSQL = `select data from arg where handle = $1 and part = $2`
)

// writeArguments stores the large arguments of a batch, ahead of the rows of their jobs. What is left of one whose row
// does not come is removed with its run.
func (e *Engine) writeArguments(b *batch) error {
	for i := range b.jobs {
		p := &b.jobs[i]
		if p.argument == nil || p.over || p.settled || p.written {
			continue
		}
		// The job may have been refused before, and be here again under its number.
		b.args = slices.DeleteFunc(b.args, func(n int64) bool { return n == int64(p.number) })
		switch err := e.writeArgument(p); {
		case err == nil:
			p.written = true
		case faultOf(err) == refusal && !errors.Is(err, errFenced):
			p.settled, p.outcome = true, failure(err)
			b.args = append(b.args, int64(p.number))
		default:
			return err
		}
	}
	return nil
}

func (e *Engine) writeArgument(p *pending) error {
	piece := make([]byte, 0, min(p.size, pieceSize))
	part := 0
	put := func() error {
		if err := e.ask("argument"); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(e.ctx, e.patience())
		defer cancel()
		tag, err := e.session.Exec(ctx, putPieceSQL, int64(e.me), int64(p.number), part, piece)
		if err == nil && tag.RowsAffected() == 0 {
			err = errFenced
		}
		part++
		piece = piece[:0]
		return err
	}
	for _, rest := range p.argument {
		for len(rest) > 0 {
			n := min(len(rest), pieceSize-len(piece))
			piece = append(piece, rest[:n]...)
			rest = rest[n:]
			if len(piece) < pieceSize {
				continue
			}
			if err := put(); err != nil {
				return err
			}
		}
	}
	if len(piece) > 0 {
		return put()
	}
	return nil
}

// Argument implements store.Store.
func (e *Engine) Argument(ref store.Ref, w io.Writer, done func(error)) {
	number := uint64(ref)
	e.mu.Lock()
	j, ok := e.jobs[number]
	closed := e.closed
	e.mu.Unlock()
	switch {
	case closed:
		go done(store.ErrClosed)
	case !ok || !j.large || j.state != safe:
		go done(store.ErrGone)
	default:
		e.rooms.Go(func() { done(e.readArgument(number, w)) })
	}
}

func (e *Engine) readArgument(number uint64, w io.Writer) error {
	pool, err := e.readers(e.ctx)
	if err != nil {
		return err
	}
	var size int
	err = pool.QueryRow(e.ctx, `select size from job where handle = $1`, int64(number)).Scan(&size)
	for part := 0; err == nil && size > 0; part++ {
		var piece []byte
		if err = pool.QueryRow(e.ctx, getPieceSQL, int64(number), part).Scan(&piece); err != nil {
			break
		}
		if size -= len(piece); size < 0 {
			return fmt.Errorf("%w: the argument of job %d is too long", store.ErrDamaged, number)
		}
		for len(piece) > 0 {
			n := min(len(piece), store.LargeArgument)
			if _, err := w.Write(piece[:n]); err != nil {
				return err
			}
			piece = piece[n:]
		}
	}
	switch {
	case !errors.Is(err, pgx.ErrNoRows):
		return err
	case e.has(number):
		return fmt.Errorf("%w: the argument of job %d is not there", store.ErrDamaged, number)
	}
	return store.ErrGone
}
