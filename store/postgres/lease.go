package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	beatSQL = `update beat set n = n + 1 where run = $1 and not released`

	othersSQL = `select run, n, released from beat where run <> $1`

	// ownedSQL also finds runs that were taken over when nobody was told.
	ownedSQL = `select run from run where owner = $1 order by run`

	takeOverSQL = `update run set owner = $1 where owner = $2
		and exists (select from run where run = $1 and owner = $1)
		and exists (select from beat where run = $2 and (released or n = $3))`

	forgetBeatSQL = `delete from beat where run = $1 and not exists (select from run where owner = $1)`

	// sweepSQL removes runs of others that have no jobs any more, and what arguments they left.
	sweepSQL = `with gone as (
			delete from run r where owner = $1 and run = any($2)
			and not exists (select from job where handle > r.run << 38 and handle <= (r.run + 1) << 38)
			returning run)
		delete from arg using gone where handle > gone.run << 38 and handle <= (gone.run + 1) << 38`

	sizeSQL = `select coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint from pg_class c
		where c.oid in (to_regclass('job'), to_regclass('arg'))`
)

// heart beats, sees whether others do, and takes over from those who don't.
type heart struct {
	e    *Engine
	conn *pgx.Conn
	wake chan struct{}

	mu      sync.Mutex
	me      uint64 // 0: there is no place in the fence
	stopped bool
	taking  bool // a take-over is under way

	seen    map[uint64]sight // of others, by the run that stands for them
	sweptAt time.Time
}

// sight is what was seen of another broker.
type sight struct {
	n     int64
	since time.Time // when it was seen to change last
}

func (h *heart) init(e *Engine) {
	h.e, h.wake, h.seen = e, make(chan struct{}, 1), map[uint64]sight{}
}

func (h *heart) set(me uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.me = me
}

// run0 returns the run that stands for this broker, 0 if there is none.
func (h *heart) run0() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.me
}

// ring has it beat at once.
func (h *heart) ring() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// stop ends beats for good, before the jobs are let go of.
func (h *heart) stop() {
	h.mu.Lock()
	h.stopped = true
	h.mu.Unlock()
	h.ring()
}

// run beats until the engine ends.
func (h *heart) run() {
	tick := time.NewTicker(h.e.opts.Beat)
	defer tick.Stop()
	defer func() {
		if h.conn != nil {
			ctx, cancel := context.WithTimeout(context.Background(), connectLimit)
			h.conn.Close(ctx)
			cancel()
		}
	}()
	for {
		select {
		case <-h.e.ctx.Done():
			return
		case <-tick.C:
		case <-h.wake:
		}
		h.mu.Lock()
		rest := h.stopped || h.me == 0
		h.mu.Unlock()
		if rest {
			clear(h.seen)
			continue
		}
		ctx, cancel := context.WithTimeout(h.e.ctx, h.e.opts.Lease)
		if err := h.beat(ctx); err != nil {
			// Whoever could not beat may not be the judge of others: it counts anew.
			clear(h.seen)
			if h.conn != nil && h.conn.IsClosed() {
				h.conn = nil
			}
		}
		cancel()
	}
}

// beat shows that the broker lives, and looks at the others.
func (h *heart) beat(ctx context.Context) (err error) {
	if h.e.opts.beating != nil {
		if err := h.e.opts.beating(); err != nil {
			return err
		}
	}
	if h.conn == nil {
		if h.conn, err = h.e.dial(ctx); err != nil {
			return err
		}
	}
	me := int64(h.run0())
	var q pgx.Batch
	q.Queue(beatSQL, me)
	q.Queue(othersSQL, me)
	q.Queue(ownedSQL, me)
	begin := time.Now()
	results := h.conn.SendBatch(ctx, &q)
	alive, others, owned, err := readBeat(results)
	if closed := results.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	if !alive { // somebody has taken over; the fence will tell
		h.e.suspect()
		return nil
	}
	until := begin.Add(h.e.opts.Lease)
	h.e.lease.Store(until.UnixNano())
	h.e.tell(func() { h.e.events.Lease(until) })
	h.e.adoption.add(owned)
	h.observe(others, time.Now())
	if now := time.Now(); now.Sub(h.sweptAt) >= h.e.opts.sweepEvery {
		h.sweptAt = now
		return h.sweep(ctx, me)
	}
	return nil
}

// other is a line of beat.
type other struct {
	run      uint64
	n        int64
	released bool
}

func readBeat(results pgx.BatchResults) (alive bool, others []other, owned []uint64, err error) {
	tag, err := results.Exec()
	if err != nil {
		return false, nil, nil, err
	}
	rows, err := results.Query()
	if err != nil {
		return false, nil, nil, err
	}
	var run, n int64
	var released bool
	_, err = pgx.ForEachRow(rows, []any{&run, &n, &released}, func() error {
		others = append(others, other{uint64(run), n, released})
		return nil
	})
	if err != nil {
		return false, nil, nil, err
	}
	if rows, err = results.Query(); err != nil {
		return false, nil, nil, err
	}
	_, err = pgx.ForEachRow(rows, []any{&run}, func() error {
		owned = append(owned, uint64(run))
		return nil
	})
	return tag.RowsAffected() > 0, others, owned, err
}

// observe takes over from those who were released, or have not beaten for too long.
func (h *heart) observe(others []other, now time.Time) {
	if h.e.opts.guest {
		return
	}
	there := map[uint64]bool{}
	for _, o := range others {
		there[o.run] = true
		s, known := h.seen[o.run]
		if !known || s.n != o.n {
			s = sight{o.n, now}
			h.seen[o.run] = s
		}
		if o.released || now.Sub(s.since) >= h.e.opts.Takeover {
			h.takeOver(o)
		}
	}
	for run := range h.seen {
		if !there[run] {
			delete(h.seen, run)
		}
	}
}

// takeOver has the runs of another broker be this one's, beside the beats: it waits for a batch that is under way.
// The next beat finds them.
func (h *heart) takeOver(o other) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.taking || h.stopped {
		return
	}
	h.taking = true
	me := h.me
	h.e.rooms.Go(func() {
		ctx, cancel := context.WithTimeout(h.e.ctx, h.e.opts.Takeover)
		err := h.e.takeOver(ctx, me, o)
		cancel()
		h.mu.Lock()
		h.taking = false
		h.mu.Unlock()
		if err != nil {
			h.e.event(Event{Warning: true, Text: "the jobs of another broker could not be taken over; it is tried again",
				Details: []any{"run", o.run, "error", err}})
			return
		}
		h.ring()
	})
}

func (e *Engine) takeOver(ctx context.Context, me uint64, o other) error {
	if err := e.ask("take over"); err != nil {
		return err
	}
	pool, err := e.readers(ctx)
	if err != nil {
		return err
	}
	var q pgx.Batch
	q.Queue(takeOverSQL, int64(me), int64(o.run), o.n)
	q.Queue(forgetBeatSQL, int64(o.run))
	return pool.SendBatch(ctx, &q).Close()
}

// suspect has the committer look at the fence.
func (e *Engine) suspect() {
	e.mu.Lock()
	e.suspicious = true
	e.mu.Unlock()
	e.ring()
}

func (h *heart) sweep(ctx context.Context, me int64) error {
	var bytes int64
	if err := h.conn.QueryRow(ctx, sizeSQL).Scan(&bytes); err != nil {
		return err
	}
	h.e.disk.Store(bytes)
	read := h.e.adoption.readRuns()
	if len(read) == 0 {
		return nil
	}
	if err := h.e.ask("sweep"); err != nil {
		return err
	}
	_, err := h.conn.Exec(ctx, sweepSQL, me, read)
	return err
}

// disowned gives up all jobs: another broker has them. The committer calls it.
func (e *Engine) disowned() {
	e.refuse(failure(errFenced))
	e.mu.Lock()
	e.next = &batch{}
	clear(e.jobs)
	clear(e.runs)
	e.live, e.run, e.suspicious = 0, 0, false
	e.mu.Unlock()
	e.me = 0
	e.heart.set(0)
	e.adoption.forget()
	e.event(Event{Warning: true, Text: "another broker has taken over the stored jobs; this one goes on with a new run"})
	e.tell(e.events.Disowned)
}

const (
	leaveRunsSQL = `with gone as (
			delete from run r where owner = $1
			and not exists (select from job where handle > r.run << 38 and handle <= (r.run + 1) << 38)
			returning run)
		delete from arg using gone where handle > gone.run << 38 and handle <= (gone.run + 1) << 38`
	releaseSQL = `update beat set released = true where run = $1`
)

// release lets go of all jobs, so that another broker takes them over at once.
func (e *Engine) release() error {
	if e.me == 0 || e.session == nil {
		return nil
	}
	if err := e.ask("release"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), connectLimit)
	defer cancel()
	var q pgx.Batch
	me := int64(e.me)
	q.Queue(leaveRunsSQL, me)
	q.Queue(releaseSQL, me)
	q.Queue(forgetBeatSQL, me)
	return e.session.SendBatch(ctx, &q).Close()
}
