package postgres

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	beatSQL = `update beat set n = n + 1, at = now(), jobs = $2 where run = $1 and not released`

	othersSQL = `select b.run, b.n, b.released, coalesce(r.node, '') from beat b left join run r on r.run = b.run where b.run <> $1`

	// ownedSQL also finds runs that this broker took over without hearing of it, because the reply was lost.
	ownedSQL = `select run, node from run where owner = $1 order by run`

	// takeOverSQL follows fenceSQL, which keeps this broker from being taken over meanwhile: its gain would belong to
	// nobody. The lock on the beat keeps the other broker from beating while its batch is waited for: it would
	// believe that it has the lease.
	takeOverSQL = `with dead as (select run from beat where run = $2 and (released or n = $3) for update)
		update run set owner = $1 where owner = $2
		and exists (select from run where run = $1 and owner = $1)
		and exists (select from dead)`

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

// heart beats, sees whether others do, and takes the runs of those over who don't.
type heart struct {
	e    *Engine
	conn *pgx.Conn
	wake chan struct{}

	mu      sync.Mutex
	me      uint64 // 0: there is no place in the fence
	stopped bool
	until   time.Time   // end of the lease
	timer   *time.Timer // fires then; nil before the first lease
	over    bool        // Suspended is said
	taking  bool        // runs are being taken over

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
	if h.timer != nil {
		h.timer.Stop()
	}
	h.mu.Unlock()
	h.ring()
}

// extend notes a lease.
func (h *heart) extend(until time.Time) {
	h.mu.Lock()
	resumed := h.over
	h.until, h.over = until, false
	if h.timer == nil {
		h.timer = time.AfterFunc(time.Until(until), h.suspend)
	} else {
		h.timer.Reset(time.Until(until))
	}
	h.mu.Unlock()
	if resumed {
		h.e.event(Event{Kind: Resumed, Text: "the lease goes on: stored jobs are handed out again"})
	}
}

// Lease returns for how long stored jobs may still be handed out; 0: they may not.
func (e *Engine) Lease() time.Duration {
	e.heart.mu.Lock()
	defer e.heart.mu.Unlock()
	return max(time.Until(e.heart.until), 0)
}

// suspend says that the lease has run out.
func (h *heart) suspend() {
	h.mu.Lock()
	over := h.me != 0 && !h.stopped && !h.over && !time.Now().Before(h.until)
	h.over = h.over || over
	h.mu.Unlock()
	if over {
		h.e.event(Event{Kind: Suspended, Warning: true,
			Text: "the lease is over: stored jobs are not handed out until the database answers again"})
	}
}

// isLeased reports whether stored jobs may be handed out.
func (h *heart) isLeased() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Now().Before(h.until)
}

// run beats until the engine ends.
func (h *heart) run() {
	tick := time.NewTicker(h.e.opts.Beat)
	defer tick.Stop()
	defer func() {
		if h.conn != nil {
			ctx, cancel := context.WithTimeout(context.Background(), goodbyeLimit)
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
		begin := time.Now()
		if err := h.beat(ctx); err != nil {
			// Whoever could not beat may not be the judge of others: it counts anew.
			clear(h.seen)
			if h.conn != nil && h.conn.IsClosed() {
				h.conn = nil
			}
		} else if time.Since(begin) > h.e.opts.Takeover/2 {
			clear(h.seen) // the database was away, for the others as well
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
	q.Queue(beatSQL, me, h.e.living())
	q.Queue(othersSQL, me)
	q.Queue(ownedSQL, me)
	begin := time.Now()
	results := h.conn.SendBatch(ctx, &q)
	alive, others, mine, err := readBeat(results)
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
	h.extend(until)
	h.e.call(func() { h.e.events.Lease(until) })
	h.e.adoption.add(mine)
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
	node     string
}

// owned is a run that this broker has.
type owned struct {
	run  uint64
	node string // of the broker that opened it
}

func readBeat(results pgx.BatchResults) (alive bool, others []other, mine []owned, err error) {
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
	var node string
	_, err = pgx.ForEachRow(rows, []any{&run, &n, &released, &node}, func() error {
		others = append(others, other{uint64(run), n, released, node})
		return nil
	})
	if err != nil {
		return false, nil, nil, err
	}
	if rows, err = results.Query(); err != nil {
		return false, nil, nil, err
	}
	_, err = pgx.ForEachRow(rows, []any{&run, &node}, func() error {
		mine = append(mine, owned{uint64(run), node})
		return nil
	})
	return tag.RowsAffected() > 0, others, mine, err
}

// observe takes over the runs of the first broker whose runs may be.
func (h *heart) observe(others []other, now time.Time) {
	if h.e.opts.guest {
		return
	}
	for _, o := range h.overdue(others, now) {
		h.startTakeOver(o)
	}
}

// overdue notes what was seen of other brokers, and returns those that have released their runs or have not beaten for
// too long: first those of this broker's node. The runs of a node where another broker lives are left to that one for
// some beats.
func (h *heart) overdue(others []other, now time.Time) (dead []other) {
	there, living := map[uint64]bool{}, map[string]bool{}
	for _, o := range others {
		if s, known := h.seen[o.run]; !o.released && (!known || s.n != o.n || now.Sub(s.since) < h.e.opts.Takeover) {
			living[o.node] = true
		}
	}
	slices.SortStableFunc(others, func(a, b other) int { return cmp.Compare(h.isOurs(b), h.isOurs(a)) })
	for _, o := range others {
		there[o.run] = true
		s, known := h.seen[o.run]
		if !known || s.n != o.n {
			s = sight{o.n, now}
			h.seen[o.run] = s
		}
		silent, enough := now.Sub(s.since), h.e.opts.Takeover
		if o.released {
			enough = 0
		}
		if living[o.node] && h.isOurs(o) == 0 {
			enough += 3 * h.e.opts.Beat
		}
		if silent >= enough {
			dead = append(dead, o)
		}
	}
	for run := range h.seen {
		if !there[run] {
			delete(h.seen, run)
		}
	}
	return dead
}

// isOurs returns 1 for a broker of this one's node, 0 for any other.
func (h *heart) isOurs(o other) int {
	if o.node == h.e.opts.Node {
		return 1
	}
	return 0
}

// startTakeOver takes the runs of another broker over, beside the beats: that waits for a batch which is under way. The
// next beat finds the runs.
func (h *heart) startTakeOver(o other) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.taking || h.stopped {
		return
	}
	h.taking = true
	me := h.me
	h.e.rooms.Go(func() {
		ctx, cancel := context.WithTimeout(h.e.ctx, h.e.opts.Takeover)
		err := h.e.takeRuns(ctx, me, o)
		cancel()
		h.mu.Lock()
		h.taking = false
		h.mu.Unlock()
		if err != nil {
			h.e.event(Event{Warning: true, Text: "the runs of another broker could not be taken over; it is tried again",
				Details: []any{"run", o.run, "node", o.node, "error", err}})
			return
		}
		h.ring()
	})
}

// takeRuns makes this broker the owner of all runs of another one, unless that one has beaten since, or this broker has
// been taken over itself.
func (e *Engine) takeRuns(ctx context.Context, me uint64, o other) error {
	if err := e.ask("take over"); err != nil {
		return err
	}
	pool, err := e.readers(ctx)
	if err != nil {
		return err
	}
	var q pgx.Batch
	q.Queue(fenceSQL, int64(me))
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

// disowned forgets all jobs: another broker has them. Their receipts come before Disowned. The committer calls it.
func (e *Engine) disowned() {
	e.refuse(failure(errFenced))
	e.endContests(failure(errFenced))
	e.adoption.forget()
	e.mu.Lock()
	e.next = &batch{}
	clear(e.jobs)
	clear(e.runs)
	e.live, e.run, e.suspicious = 0, 0, false
	e.mu.Unlock()
	e.me = 0
	e.heart.set(0)
	e.event(Event{Kind: Disowned, Warning: true, Text: "another broker has taken over the stored jobs; this one goes on with a new run"})
	e.call(e.events.Disowned)
}

const (
	leaveRunsSQL = `with gone as (
			delete from run r where owner = $1
			and not exists (select from job where handle > r.run << 38 and handle <= (r.run + 1) << 38)
			returning run)
		delete from arg using gone where handle > gone.run << 38 and handle <= (gone.run + 1) << 38`
	releaseSQL = `update beat set released = true where run = $1`
)

// release gives up all runs, so that another broker takes them over at once.
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
	q.Queue(releaseSQL, me) // first: whoever takes over locks in this order, too
	q.Queue(leaveRunsSQL, me)
	q.Queue(forgetBeatSQL, me)
	return e.session.SendBatch(ctx, &q).Close()
}
