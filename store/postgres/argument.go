package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

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
		if p.argument == nil || p.over || p.known || p.written {
			continue
		}
		// The job may have been refused before, and be here again under its number.
		b.args = slices.DeleteFunc(b.args, func(n int64) bool { return n == int64(p.number) })
		switch err := e.writeArgument(p); {
		case err == nil:
			p.written = true
		case faultOf(err) == refusal && !errors.Is(err, errFenced):
			p.known, p.outcome = true, failure(err)
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
		ctx, cancel := e.limited()
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

// readArgument reads an argument, again after errors that may pass: the job would be lost for this broker otherwise. It
// ends successfully only within the lease.
func (e *Engine) readArgument(number uint64, w io.Writer) error {
	r := reading{number: number, left: -1}
	for {
		err := e.readOn(&r, w)
		switch {
		case err == nil && e.heart.isLeased():
			return nil
		case e.ctx.Err() != nil:
			return store.ErrClosed
		case !e.has(number):
			return store.ErrGone
		case errors.Is(err, pgx.ErrNoRows):
			return fmt.Errorf("%w: the argument of job %d is not there", store.ErrDamaged, number)
		case errors.Is(err, store.ErrDamaged) || r.failed:
			return err
		}
		select {
		case <-e.ctx.Done():
		case <-time.After(e.opts.retryEvery / 4):
		}
	}
}

// reading is how far an argument is read.
type reading struct {
	number uint64
	left   int // bytes; -1: it is not known how many
	part   int
	failed bool // to be written where the user wants it
}

func (e *Engine) readOn(r *reading, w io.Writer) error {
	for r.left != 0 {
		if err := e.readPiece(r, w); err != nil {
			return err
		}
	}
	return nil
}

// readPiece reads the next piece, or first how long the argument is.
func (e *Engine) readPiece(r *reading, w io.Writer) error {
	ctx, cancel := context.WithTimeout(e.ctx, e.opts.Patience)
	defer cancel()
	pool, err := e.readers(ctx)
	if err != nil {
		return err
	}
	if r.left < 0 {
		return pool.QueryRow(ctx, `select size from job where handle = $1`, int64(r.number)).Scan(&r.left)
	}
	var piece []byte
	if err := pool.QueryRow(ctx, getPieceSQL, int64(r.number), r.part).Scan(&piece); err != nil {
		return err
	}
	r.part++
	if r.left -= len(piece); r.left < 0 || len(piece) == 0 {
		return fmt.Errorf("%w: the argument of job %d has another length", store.ErrDamaged, r.number)
	}
	for len(piece) > 0 {
		n := min(len(piece), store.LargeArgument)
		if _, err := w.Write(piece[:n]); err != nil {
			r.failed = true
			return err
		}
		piece = piece[n:]
	}
	return nil
}
