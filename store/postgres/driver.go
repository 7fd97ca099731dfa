package postgres

import (
	"context"

	"gearloop/store"
)

// Driver sends batches to a database as the committer of an engine does: the same statements, in one round trip, behind
// the same fence. It has no lease, no queue and no user, so it shows what a database can do at most (bench/shared). Brokers
// that share its tables take its jobs over. One goroutine may use it.
type Driver struct {
	e     *Engine
	count uint64
}

// NewDriver connects to a database, makes the tables if there are none, and enters a run.
func NewDriver(ctx context.Context, opts Options) (*Driver, error) {
	e, err := Open(opts)
	if err != nil {
		return nil, err
	}
	if err := e.connect(ctx); err != nil {
		return nil, err
	}
	if err := e.enroll(ctx); err != nil {
		e.drop()
		return nil, err
	}
	return &Driver{e: e}, nil
}

// Commit ends jobs and stores new ones, whose numbers it sets, in one transaction. It returns when that is committed.
// Arguments are in one piece, and stored with the row whatever their size.
func (d *Driver) Commit(ctx context.Context, jobs []store.Job, ended []uint64) error {
	var b batch
	w := &work{}
	for _, number := range ended {
		w.ended = append(w.ended, int64(number))
	}
	b.jobs = make([]pending, len(jobs))
	for i := range jobs {
		d.count++
		j := &jobs[i]
		j.Number = store.Number(d.e.me, d.count, store.ShardOf(j.Function))
		b.jobs[i] = pending{
			number: j.Number, key: keyOf(j.Function, j.Unique), due: j.Due, priority: j.Priority, start: len(b.data),
			fn: int32(len(j.Function)), uniq: int32(len(j.Unique)), size: len(j.Argument[0]),
		}
		b.data = append(b.data, j.Function...)
		b.data = append(b.data, j.Unique...)
		b.data = append(b.data, j.Argument[0]...)
		w.jobs = append(w.jobs, &b.jobs[i])
	}
	_, err := d.e.send(ctx, d.e.session, &b, w)
	return err
}

// Close closes the connection.
func (d *Driver) Close() {
	d.e.drop()
	d.e.cancel()
}
