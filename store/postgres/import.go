package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"gearloop/store"
	"gearloop/store/transfer"
)

// highestImported is the highest run that an imported handle may bring: new runs are above it afterwards.
const highestImported = store.MaxRun / 4 * 3

const (
	raiseRunSQL = `update meta set last_run = greatest(last_run, $1)`

	runThereSQL = `select exists (select from run where run = $1)`
	enterRunSQL = `insert into run (run, owner, node, address) values ($1, $2, $3, '')`

	handlesSQL = `select handle from job where handle > $1 and handle <= $2 order by handle`

	newSettingsSQL = `insert into setting (node, document) values ($1, $2) on conflict do nothing`
)

// Importer adds jobs from elsewhere to a database, beside brokers that use it. It is a broker that hands out nothing: it
// has a run of its own, writes behind the fence, takes over from nobody, and lets go of all jobs at the end, so that
// a broker takes them over within seconds. It implements transfer.Importer.
//
// A job keeps its number where the importer can have the run in it for itself: no broker has that run, and it was
// not so high that runs would come to their end.
type Importer struct {
	store.NoEvents
	opts    Options
	accept  func(*store.Job) error
	flow    *transfer.Flow
	conn    *pgx.Conn
	e       *Engine // nil until the first job is added
	own     uint64
	entered map[uint64]*enteredRun
	counts  [store.Shards]uint64
	given   int

	mu   sync.Mutex
	late []func() // refusals to be reported by the importer's goroutine
	lost bool     // another broker has taken over what was imported so far
}

// enteredRun is a run that imported numbers have.
type enteredRun struct {
	mine   bool    // nobody had it, and there were no jobs of it: all of them come from this import
	before []int64 // otherwise: its jobs that were there, in order
}

// NewImporter returns an importer for a database, whose tables are made with the first job if necessary. accept checks
// whether a job could have been submitted, and may change it; nil accepts all.
func NewImporter(url string, accept func(*store.Job) error) (*Importer, error) {
	opts := Options{URL: url, Node: "import", MaxQueued: 2 * transfer.MaxBytes, guest: true}
	im := &Importer{opts: opts, accept: accept, flow: transfer.NewFlow(), entered: map[uint64]*enteredRun{}}
	ctx, cancel := im.limited()
	defer cancel()
	var err error
	if im.conn, err = Connect(ctx, opts.URL); err != nil {
		return nil, err
	}
	version, err := Version(ctx, im.conn)
	if err == nil && version > Format {
		err = newer(version)
	}
	if err != nil {
		im.conn.Close(ctx)
		return nil, err
	}
	return im, nil
}

// importLimit is how long one call of the importer to the database may take.
const importLimit = 30 * time.Second

// limited returns a context for one call to the database.
func (im *Importer) limited() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), importLimit)
}

// open gets the importer a run of its own.
func (im *Importer) open() error {
	e, err := Open(im.opts)
	if err != nil {
		return err
	}
	if err := e.Start(im); err != nil {
		return err
	}
	im.e, im.own = e, e.Run()
	if im.own == 0 {
		return e.Stats().Failed
	}
	return nil
}

// Disowned implements store.Events: this process was frozen, or cut off from the database, for so long that a broker has
// taken over.
func (im *Importer) Disowned() {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.lost = true
}

// importReceipt is that of one job.
type importReceipt struct {
	im      *Importer
	refused func(error)
}

// Stored implements store.Receipt.
func (r *importReceipt) Stored(ref store.Ref, err error) {
	taken := (*store.UniqueTaken)(nil)
	if !errors.As(err, &taken) {
		r.im.flow.Stored(ref, err)
		return
	}
	r.im.mu.Lock()
	r.im.late = append(r.im.late, func() {
		r.refused(fmt.Errorf("unique: job %d with the same unique id is there already", taken.Number))
	})
	r.im.mu.Unlock()
	r.im.flow.Leave()
}

// reportLate reports what was refused since the last call, and whether the import can go on.
func (im *Importer) reportLate() error {
	im.mu.Lock()
	late, lost := im.late, im.lost
	im.late = nil
	im.mu.Unlock()
	for _, report := range late {
		report()
	}
	if lost {
		return errFenced
	}
	return nil
}

// Add implements transfer.Importer.
func (im *Importer) Add(job *store.Job, refused func(error)) error {
	if im.accept != nil {
		if err := im.accept(job); err != nil {
			return transfer.Unusable(err)
		}
	}
	if im.e == nil {
		if err := im.open(); err != nil {
			return err
		}
	}
	if err := im.number(job); err != nil {
		return err
	}
	if err := im.flow.Enter(job); err != nil {
		return err
	}
	err := im.reportLate()
	if err == nil {
		_, err = im.e.Append(job, &importReceipt{im, refused})
	}
	if err != nil {
		im.flow.Leave()
	} else {
		im.e.Hurry() // the next job may wait for room
	}
	if errors.Is(err, store.ErrTooLarge) {
		return transfer.Unusable(err)
	}
	return err
}

// number assigns a number if necessary.
func (im *Importer) number(job *store.Job) error {
	shard := store.ShardOf(job.Function)
	if n := job.Number; n != 0 {
		run := store.RunOf(n)
		if store.Valid(n) && store.ShardOfNumber(n) == shard && run > 0 && run <= highestImported {
			r, err := im.enter(run)
			if err != nil {
				return err
			}
			_, there := slices.BinarySearch(r.before, int64(n))
			if there || r.mine && im.e.has(n) {
				return transfer.Unusable(
					fmt.Errorf("number: a job with the number %d is there already (--new-handles gives it another one)", n))
			}
			if r.mine {
				return nil
			}
		}
		im.given++
	}
	if im.counts[shard] == store.MaxCount {
		return fmt.Errorf("%w: one import can't give out more handles", store.ErrFailed)
	}
	job.Number = store.Number(im.own, im.counts[shard], shard)
	im.counts[shard]++
	return nil
}

// enter gets a run for the importer if nobody has it.
func (im *Importer) enter(run uint64) (*enteredRun, error) {
	if r := im.entered[run]; r != nil {
		return r, nil
	}
	ctx, cancel := im.limited()
	defer cancel()
	tx, err := im.conn.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is left to roll back after the commit
	// The row of meta is locked first, as by those who open a run: none of them gets this one meanwhile or later.
	if _, err := tx.Exec(ctx, raiseRunSQL, int64(run)); err != nil {
		return nil, err
	}
	if tag, err := tx.Exec(ctx, fenceSQL, int64(im.own)); err != nil {
		return nil, err
	} else if tag.RowsAffected() == 0 {
		return nil, errFenced
	}
	const bits = store.CountBits + store.ShardBits
	rows, err := tx.Query(ctx, handlesSQL, int64(run<<bits), int64((run+1)<<bits))
	if err != nil {
		return nil, err
	}
	r := &enteredRun{}
	var handle int64
	_, err = pgx.ForEachRow(rows, []any{&handle}, func() error {
		r.before = append(r.before, handle)
		return nil
	})
	if err != nil {
		return nil, err
	}
	there := false
	if err := tx.QueryRow(ctx, runThereSQL, int64(run)).Scan(&there); err != nil {
		return nil, err
	}
	if r.mine = !there && len(r.before) == 0; r.mine {
		im.e.adoption.opens(run) // as one of its own: there is nothing to read
		if _, err := tx.Exec(ctx, enterRunSQL, int64(run), int64(im.own), im.opts.Node); err != nil {
			return nil, err
		}
	}
	if err := tx.Commit(ctx); err != nil {
		return nil, err
	}
	im.entered[run] = r
	if r.mine {
		im.e.admit(run)
	}
	return r, nil
}

// SetSettings implements transfer.Importer. Settings of no node are those of all brokers that have none of their own.
func (im *Importer) SetSettings(document []byte, node string) error {
	if err := transfer.CheckSettings(document); err != nil {
		return err
	}
	ctx, cancel := im.limited()
	defer cancel()
	if _, err := Init(ctx, im.conn); err != nil {
		return err
	}
	tag, err := im.conn.Exec(ctx, newSettingsSQL, node, document)
	switch {
	case err != nil:
		return err
	case tag.RowsAffected() == 0 && node == "":
		return transfer.Unusable(errors.New("settings: the database has its own"))
	case tag.RowsAffected() == 0:
		return transfer.Unusable(fmt.Errorf("settings: the database has some of node %q", node))
	}
	return nil
}

// Close implements transfer.Importer.
func (im *Importer) Close() (jobs, givenAnew int, err error) {
	ctx, cancel := im.limited()
	defer cancel()
	defer im.conn.Close(ctx)
	if im.e == nil {
		return 0, 0, nil
	}
	closed := im.e.Close()
	lost := im.reportLate()
	jobs, err = im.flow.Added()
	if err == nil {
		err = errors.Join(closed, lost)
	}
	return jobs, im.given, err
}

var _ transfer.Importer = (*Importer)(nil)
