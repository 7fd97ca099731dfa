package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"gearloop/store"
)

// The statements of a batch. They travel together, so that those behind the fence can't wait for what it found: each
// looks for itself whether the broker still has its run. Under read committed it sees what was committed before the fence
// was locked.
const (
	fenceSQL = `select 1 from run where run = $1 and owner = $1` + fenceLock

	endSQL    = `delete from job where handle = any($2) and exists (select from run where run = $1 and owner = $1)`
	endArgSQL = `delete from arg where handle = any($2) and exists (select from run where run = $1 and owner = $1)`

	updateSQL = `update job set retries = v.retries, prio = v.prio
		from unnest($2::bigint[], $3::smallint[], $4::smallint[]) v(handle, retries, prio)
		where job.handle = v.handle and exists (select from run where run = $1 and owner = $1)`

	insertSQL = `insert into job (handle, key, due, prio, retries, fn, uniq, reducer, size, data)
		select * from unnest($2::bigint[], $3::uuid[], $4::bigint[], $5::smallint[], $6::smallint[], $7::bytea[], $8::bytea[],
			$9::bytea[], $10::int[], $11::bytea[])
		where exists (select from run where run = $1 and owner = $1)
		on conflict do nothing returning handle`

	// holdersSQL finds who keeps jobs from being inserted: themselves, sent before, or who has their unique id.
	holdersSQL = `select handle, key from job where handle = any($1) or key = any($2)`
)

// errFenced says that another broker has taken the runs over.
var errFenced = errors.New("another broker has taken over the jobs")

// keyOf returns what tells unique ids of functions apart: half of a hash, which nobody meets twice by chance.
func keyOf(function, unique string) (key pgtype.UUID) {
	if unique == "" {
		return key
	}
	h := sha256.New()
	var size [8]byte
	binary.LittleEndian.PutUint64(size[:], uint64(len(function)))
	h.Write(size[:])
	h.Write([]byte(function))
	h.Write([]byte(unique))
	copy(key.Bytes[:], h.Sum(nil))
	key.Valid = true
	return key
}

// columns are rows of job as the database takes them.
type columns struct {
	handles, due        []int64
	keys                []pgtype.UUID
	prio, retries       []int16
	fn, uniq, red, data [][]byte
	size                []int32
}

func (c *columns) reset() {
	*c = columns{c.handles[:0], c.due[:0], c.keys[:0], c.prio[:0], c.retries[:0], c.fn[:0], c.uniq[:0], c.red[:0], c.data[:0], c.size[:0]}
}

func (c *columns) add(b *batch, p *pending) {
	c.handles = append(c.handles, int64(p.number))
	c.keys = append(c.keys, p.key)
	c.due = append(c.due, p.due)
	c.prio = append(c.prio, int16(p.priority))
	c.retries = append(c.retries, int16(p.retries))
	rest := b.data[p.start:]
	cut := func(n int32) []byte {
		part := rest[:n:n]
		rest = rest[n:]
		return part
	}
	c.fn = append(c.fn, cut(p.fn))
	c.uniq = append(c.uniq, cut(p.uniq))
	c.red = append(c.red, cut(p.reducer))
	c.size = append(c.size, int32(p.size))
	if p.argument != nil {
		c.data = append(c.data, nil)
	} else {
		c.data = append(c.data, cut(int32(p.size)))
	}
}

// work is what is sent at once: jobs of a batch, and what has ended.
type work struct {
	jobs    []*pending
	ended   []int64
	args    []int64 // of these, such with a large argument
	updated []int64
	retries []int16 // of updated
	prio    []int16 // of updated
}

// send does a piece of work in one transaction and one round trip. missing are jobs that the database has not taken
// because something is there already; all others are stored when there is no error.
func (e *Engine) send(ctx context.Context, conn *pgx.Conn, b *batch, w *work) (missing []*pending, err error) {
	if err := e.ask("commit"); err != nil {
		return nil, err
	}
	me := int64(e.me)
	var q pgx.Batch
	q.Queue(fenceSQL, me)
	if len(w.ended) > 0 { // ahead of the inserts: a new job may have the unique id of one that has ended
		q.Queue(endSQL, me, w.ended)
	}
	if len(w.args) > 0 {
		q.Queue(endArgSQL, me, w.args)
	}
	if len(w.updated) > 0 {
		q.Queue(updateSQL, me, w.updated, w.retries, w.prio)
	}
	if len(w.jobs) > 0 {
		// In the order of their keys: two brokers that insert the same ones in different orders would wait for each other.
		order := slices.Clone(w.jobs)
		slices.SortStableFunc(order, func(a, b *pending) int { return slices.Compare(a.key.Bytes[:], b.key.Bytes[:]) })
		c := &e.columns
		c.reset()
		for _, p := range order {
			c.add(b, p)
		}
		q.Queue(insertSQL, me, c.handles, c.keys, c.due, c.prio, c.retries, c.fn, c.uniq, c.red, c.size, c.data)
	}
	results := conn.SendBatch(ctx, &q)
	stored, fenced, err := readResults(results, w)
	if closed := results.Close(); err == nil {
		err = closed // the commit
	}
	if err == nil {
		err = e.askAfter("commit")
	}
	switch {
	case err != nil:
		return nil, err
	case fenced:
		return nil, errFenced
	case len(stored) == len(w.jobs):
		return nil, nil
	}
	for _, p := range w.jobs {
		if !stored[p.number] {
			missing = append(missing, p)
		}
	}
	return missing, nil
}

func readResults(results pgx.BatchResults, w *work) (stored map[uint64]bool, fenced bool, err error) {
	tag, err := results.Exec()
	if err != nil {
		return nil, false, err
	}
	fenced = tag.RowsAffected() == 0
	for _, sent := range []bool{len(w.ended) > 0, len(w.args) > 0, len(w.updated) > 0} {
		if !sent {
			continue
		}
		if _, err := results.Exec(); err != nil {
			return nil, false, err
		}
	}
	if len(w.jobs) == 0 {
		return nil, fenced, nil
	}
	rows, err := results.Query()
	if err != nil {
		return nil, false, err
	}
	stored = make(map[uint64]bool, len(w.jobs))
	var handle int64
	_, err = pgx.ForEachRow(rows, []any{&handle}, func() error {
		stored[uint64(handle)] = true
		return nil
	})
	return stored, fenced, err
}

// holders returns by key, and by handle, which jobs are there.
func (e *Engine) holders(ctx context.Context, conn *pgx.Conn, missing []*pending) (byKey map[[16]byte]uint64, there map[uint64]bool, err error) {
	var handles []int64
	var keys []pgtype.UUID
	for _, p := range missing {
		handles = append(handles, int64(p.number))
		if p.key.Valid {
			keys = append(keys, p.key)
		}
	}
	rows, err := conn.Query(ctx, holdersSQL, handles, keys)
	if err != nil {
		return nil, nil, err
	}
	byKey, there = map[[16]byte]uint64{}, map[uint64]bool{}
	var handle int64
	var key pgtype.UUID
	_, err = pgx.ForEachRow(rows, []any{&handle, &key}, func() error {
		there[uint64(handle)] = true
		if key.Valid {
			byKey[key.Bytes] = uint64(handle)
		}
		return nil
	})
	return byKey, there, err
}

// ask is for tests that have calls fail.
func (e *Engine) ask(call string) error {
	if e.opts.before != nil {
		return e.opts.before(call)
	}
	return nil
}

func (e *Engine) askAfter(call string) error {
	if e.opts.after != nil {
		return e.opts.after(call)
	}
	return nil
}

var _ store.Store = (*Engine)(nil)
