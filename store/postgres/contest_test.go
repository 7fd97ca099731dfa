package postgres

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"gearloop/store"
	"gearloop/test/await"
	"gearloop/test/pgtest"
)

// asked answers for other brokers. Until open is closed it answers nothing.
type asked struct {
	open  chan struct{}
	known bool
	calls atomic.Int64
}

func (a *asked) ask(ctx context.Context, _ Peer, requests []Request) ([]store.Status, error) {
	a.calls.Add(1)
	select {
	case <-a.open:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	answers := make([]store.Status, len(requests))
	for i := range answers {
		answers[i].Known = a.known
	}
	return answers, nil
}

// alone has a broker neither take over nor be taken over, unless the test does it.
func alone(o *Options) { o.Takeover = time.Hour }

// The receipts of contested jobs come before Disowned, and none says that its job is stored.
func TestContestedBeforeDisowned(t *testing.T) {
	server := pgtest.Start(t)
	url := server.URL(server.Schema(t))
	a := start(t, url, alone)
	held := a.mustSubmit("f", "u")
	peers := &asked{open: make(chan struct{})}
	b := start(t, url, func(o *Options) { alone(o); o.Ask = peers.ask; o.Beat = 10 * time.Second })
	var receipts []<-chan error
	for range 20 {
		_, came := b.submit("f", "u")
		receipts = append(receipts, came)
	}
	await.Until(t, "the owner is asked", func() bool { return peers.calls.Load() > 0 })
	pool, err := a.readers(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	run := b.heart.run0()
	var n int64
	if err := pool.QueryRow(context.Background(), `select n from beat where run = $1`, int64(run)).Scan(&n); err != nil {
		t.Fatal(err)
	}
	if err := a.takeRuns(context.Background(), a.heart.run0(), otherBeat(run, n)); err != nil {
		t.Fatal(err)
	}
	b.suspect()
	await.Until(t, "it is disowned", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.disowned > 0
	})
	close(peers.open) // the answers come late: the holder has ended
	for _, came := range receipts {
		if err := <-came; !errors.Is(err, store.ErrFailed) {
			t.Errorf("a contested job of a lost run: %v", err)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.order, "disowned"); i != len(receipts) {
		t.Errorf("Disowned came after %d of %d receipts", i, len(receipts))
	}
	if !a.owns(held) {
		t.Error("the other broker has lost its job")
	}
}

// A contested job has its receipt though the database goes away.
func TestContestedWhileAway(t *testing.T) {
	server := pgtest.Start(t)
	url := server.URL(server.Schema(t))
	a := start(t, url, alone)
	a.mustSubmit("f", "u")
	peers := &asked{open: make(chan struct{})}
	b := start(t, url, func(o *Options) {
		o.Takeover, o.Ask, o.Beat, o.Patience = 300*time.Millisecond, peers.ask, 300*time.Millisecond, 50*time.Millisecond
	})
	b.heart.mu.Lock()
	b.heart.taking = true // it takes nothing over
	b.heart.mu.Unlock()
	_, came := b.submit("f", "u")
	await.Until(t, "the owner is asked", func() bool { return peers.calls.Load() > 0 })
	server.Kill(syscall.SIGQUIT)
	_, later := b.submit("g", "") // may be refused at once
	close(peers.open)
	if err := <-came; !errors.Is(err, store.ErrFailed) {
		t.Errorf("a contested job whose database is gone: %v", err)
	}
	if later != nil {
		if err := <-later; !errors.Is(err, store.ErrFailed) {
			t.Errorf("a job whose database is gone: %v", err)
		}
	}
}

// Many contested jobs of a silent owner take neither a goroutine each nor memory without bound, and hold up no others.
func TestContestedAreBounded(t *testing.T) {
	server := pgtest.Start(t)
	url := server.URL(server.Schema(t))
	a := start(t, url, alone)
	a.mustSubmit("f", "u")
	peers := &asked{open: make(chan struct{}), known: true}
	b := start(t, url, func(o *Options) { alone(o); o.Ask = peers.ask; o.Beat = 10 * time.Second; o.MaxQueued = 1 << 20 })
	before := runtime.NumGoroutine()
	var receipts []<-chan error
	for range 4000 {
		var came <-chan error
		await.Until(t, "there is room", func() bool {
			_, came = b.submit("f", "u")
			return came != nil
		})
		receipts = append(receipts, came)
	}
	b.mustSubmit("g", "") // behind all of them
	if more := runtime.NumGoroutine() - before; more > 20 {
		t.Errorf("%d goroutines more", more)
	}
	b.Engine.mu.Lock()
	bytes := b.contests.bytes
	b.Engine.mu.Unlock()
	if bytes > 1<<20/contestShare {
		t.Errorf("contested jobs take %d bytes", bytes)
	}
	close(peers.open)
	crowded, joined := 0, 0
	for _, came := range receipts {
		taken := (*store.UniqueTaken)(nil)
		switch err := <-came; {
		case errors.As(err, &taken):
			joined++
		case errors.Is(err, errCrowded):
			crowded++
		default:
			t.Errorf("a contested job: %v", err)
		}
	}
	if crowded == 0 || joined == 0 {
		t.Errorf("%d refused, %d joined", crowded, joined)
	}
	if calls := peers.calls.Load(); calls > int64(len(receipts))/2 {
		t.Errorf("%d calls for %d questions: they do not travel together", calls, joined)
	}
	if left := b.contests.bytes; left != 0 {
		t.Errorf("%d bytes are left", left)
	}
}

// What Update says of a job while that is contested is stored with it.
func TestUpdateOfContested(t *testing.T) {
	server := pgtest.Start(t)
	url := server.URL(server.Schema(t))
	a := start(t, url, alone)
	held := a.mustSubmit("f", "u")
	peers := &asked{open: make(chan struct{})}
	b := start(t, url, func(o *Options) { alone(o); o.Ask = peers.ask; o.Beat = 10 * time.Second })
	number, came := b.submit("f", "u")
	await.Until(t, "the owner is asked", func() bool { return peers.calls.Load() > 0 })
	b.Update(store.Ref(number), 3, store.Low)
	ended := b.mustSubmit("g", "")
	b.Done(store.Ref(ended))
	conn := connected(t, url)
	count := func(number uint64) (n int) {
		if err := conn.QueryRow(context.Background(), `select count(*) from job where handle = $1`, int64(number)).Scan(&n); err != nil {
			t.Error(err)
		}
		return n
	}
	await.Until(t, "batches have gone", func() bool { return count(ended) == 0 })
	a.Done(store.Ref(held))
	await.Until(t, "the unique id is free", func() bool { return count(held) == 0 })
	close(peers.open)
	if err := <-came; err != nil {
		t.Fatal(err)
	}
	var retries, priority int
	err := conn.QueryRow(context.Background(), `select retries, prio from job where handle = $1`, int64(number)).Scan(&retries, &priority)
	if err != nil || retries != 3 || store.Priority(priority) != store.Low {
		t.Errorf("stored with %d retries and priority %d, %v", retries, priority, err)
	}
	b.Engine.mu.Lock()
	defer b.Engine.mu.Unlock()
	if len(b.contests.updated) > 0 {
		t.Errorf("updates are left: %v", b.contests.updated)
	}
}

// The owner is asked about a job at once, though others that came before are put off.
func TestContestedAtOnce(t *testing.T) {
	e, err := Open(Options{URL: "postgres://h/d"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		holder uint64
		tries  int
	}{{1, 1}, {2, 0}} {
		e.contest(&batch{jobs: []pending{{number: 10 + c.holder, elsewhere: true, holder: c.holder, contest: contest{tries: c.tries}}}})
	}
	now := time.Now()
	if wait := e.contestTurn(now); wait <= 0 || wait > e.opts.retryEvery {
		t.Errorf("the next turn is in %v", wait)
	}
	asked := func(want ...uint64) {
		t.Helper()
		var got []uint64
		for _, one := range e.inquiry.fresh {
			got = append(got, one.number)
		}
		if !slices.Equal(got, want) {
			t.Errorf("the owners of %v are asked, want %v", got, want)
		}
	}
	asked(2)
	e.contestTurn(now.Add(e.opts.retryEvery))
	asked(2, 1)
}

// A row keeps a unique id, and the broker that has it does not know the job: the submitter is refused in the end, and the
// database is not asked without a pause.
func TestContestedForever(t *testing.T) {
	server := pgtest.Start(t)
	url := server.URL(server.Schema(t))
	a := start(t, url, alone)
	a.mustSubmit("f", "u")
	peers := &asked{open: make(chan struct{})}
	close(peers.open)
	b := start(t, url, func(o *Options) {
		o.Takeover, o.Ask, o.retryEvery = 500*time.Millisecond, peers.ask, 200*time.Millisecond
	})
	b.heart.mu.Lock()
	b.heart.taking = true
	b.heart.mu.Unlock()
	_, came := b.submit("f", "u")
	if err := <-came; !errors.Is(err, errHeld) {
		t.Errorf("the job is told %v", err)
	}
	if calls := peers.calls.Load(); calls > 50 {
		t.Errorf("the owner was asked %d times", calls)
	}
}

// A row of this broker that it does not know, as a batch leaves that was refused and was carried out late, keeps no job
// with the same unique id from being stored.
func TestStaleRow(t *testing.T) {
	server := pgtest.Start(t)
	url := server.URL(server.Schema(t))
	a := start(t, url, alone)
	ctx := context.Background()
	pool, err := a.readers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	stale := store.Number(a.Run(), 1<<20, store.ShardOf("f"))
	_, err = pool.Exec(ctx, `insert into job (handle, key, due, prio, retries, fn, uniq, reducer, size, data)
		values ($1, $2, 0, 1, 0, 'f', 'u', '', 1, 'x')`, int64(stale), keyOf("f", "u"))
	if err != nil {
		t.Fatal(err)
	}
	number := a.mustSubmit("f", "u")
	rows, err := pool.Query(ctx, `select handle from job`)
	if err != nil {
		t.Fatal(err)
	}
	left, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil || len(left) != 1 || left[0] != int64(number) {
		t.Errorf("rows %v, want %d alone, %v", left, number, err)
	}
}

// A job whose unique id a job has that was taken over is not stored beside it: the submitter joins that one, and nothing of
// the argument is left.
func TestUniqueIDOfAdoptedJob(t *testing.T) {
	server := pgtest.Start(t)
	url := server.URL(server.Schema(t))
	a := start(t, url, alone)
	held := a.mustSubmit("f", "u")
	b := start(t, url, alone)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the job is adopted", func() bool { return b.owns(held) })
	for _, size := range []int{1, 2 * testLarge} {
		_, came := b.submitSized("f", "u", make([]byte, size))
		taken := (*store.UniqueTaken)(nil)
		if err := <-came; !errors.As(err, &taken) || taken.Number != held {
			t.Errorf("an argument of %d bytes: %v, want the job %d", size, err, held)
		}
	}
	conn := connected(t, url)
	await.Until(t, "the argument is deleted", func() bool {
		var jobs, pieces int
		err := conn.QueryRow(context.Background(), `select (select count(*) from job), (select count(*) from arg)`).Scan(&jobs, &pieces)
		return err == nil && jobs == 1 && pieces == 0
	})
	b.Done(store.Ref(held))
	b.mustSubmit("f", "u")
}

// blockedBy waits until some statement waits for a lock.
func blocked(t *testing.T, server *pgtest.Server) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, server.URL(""))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	await.Until(t, "a statement waits for a lock", func() bool {
		var n int
		err := conn.QueryRow(ctx, `select count(*) from pg_stat_activity where wait_event_type = 'Lock'`).Scan(&n)
		return err == nil && n > 0
	})
}

// Taking over waits for a batch of the other broker. A beat in the meantime must not tell that one that it has the lease,
// and then the runs be another's.
func TestBeatDuringTakeover(t *testing.T) {
	server := pgtest.Start(t)
	url := server.URL(server.Schema(t))
	a, b := start(t, url, alone), start(t, url, func(o *Options) { alone(o); o.Beat = time.Hour })
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	tx, err := conn.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	run := b.heart.run0()
	var n int64
	if err := tx.QueryRow(ctx, `select n from beat where run = $1`, int64(run)).Scan(&n); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, fenceSQL, int64(run)); err != nil { // as a batch under way does
		t.Fatal(err)
	}
	taken := make(chan error, 1)
	go func() { taken <- a.takeRuns(ctx, a.heart.run0(), otherBeat(run, n)) }()
	blocked(t, server)
	beaten := make(chan bool, 1)
	go func() {
		c, err := pgx.Connect(ctx, url)
		if err != nil {
			t.Error(err)
		}
		defer c.Close(ctx)
		tag, err := c.Exec(ctx, beatSQL, int64(run), 0)
		if err != nil {
			t.Error(err)
		}
		beaten <- tag.RowsAffected() > 0
	}()
	var alive, done bool
	select {
	case alive = <-beaten:
		done = true
	case <-time.After(200 * time.Millisecond): // it may wait, too
	}
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-taken; err != nil {
		t.Fatal(err)
	}
	if !done {
		alive = <-beaten
	}
	var owner int64
	if err := conn.QueryRow(ctx, `select owner from run where run = $1`, int64(run)).Scan(&owner); err != nil {
		t.Fatal(err)
	}
	if alive && uint64(owner) != run {
		t.Error("the beat went well, and the runs are another broker's")
	}
}

// A broker that is being taken over takes nobody over: what it gained would belong to nobody.
func TestTakenOverWhileItTakesOver(t *testing.T) {
	server := pgtest.Start(t)
	url := server.URL(server.Schema(t))
	quiet := func(o *Options) { alone(o); o.Beat = time.Hour }
	a, b, c := start(t, url, quiet), start(t, url, quiet), start(t, url, quiet)
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	tx, err := conn.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	beat := func(run uint64) (o other) {
		o.run = run
		if err := tx.QueryRow(ctx, `select n from beat where run = $1`, int64(run)).Scan(&o.n); err != nil {
			t.Fatal(err)
		}
		return o
	}
	ra, rb, rc := a.heart.run0(), b.heart.run0(), c.heart.run0()
	dead := beat(rc)
	// a takes b over, and is not done yet.
	if tag, err := tx.Exec(ctx, takeOverSQL, int64(ra), int64(rb), beat(rb).n); err != nil || tag.RowsAffected() != 1 {
		t.Fatal(tag, err)
	}
	if _, err := tx.Exec(ctx, forgetBeatSQL, int64(rb)); err != nil {
		t.Fatal(err)
	}
	taken := make(chan error, 1)
	go func() { taken <- b.takeRuns(ctx, rb, dead) }()
	select {
	case err := <-taken: // it did not wait
		taken <- err
	case <-time.After(200 * time.Millisecond):
	}
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-taken; err != nil {
		t.Fatal(err)
	}
	var lost int
	err = conn.QueryRow(ctx, `select count(*) from run r where not exists (select from beat where run = r.owner)`).Scan(&lost)
	if err != nil || lost > 0 {
		t.Errorf("%d runs belong to nobody who beats, %v", lost, err)
	}
}

// Runs of a broker that has ended or is silent are taken over first by a broker of the same node.
func TestOwnRunsFirst(t *testing.T) {
	e, err := Open(Options{URL: "postgres://h/d", Node: "x"})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	h := &e.heart
	names := func(dead []other) string {
		var all []string
		for _, o := range dead {
			all = append(all, fmt.Sprint(o.node, o.run))
		}
		return strings.Join(all, " ")
	}
	see := func(others ...other) string { return names(h.overdue(others, now)) }
	a, x, y := other{1, 5, false, "a"}, other{2, 5, false, "x"}, other{3, 5, false, "y"}
	living := other{4, 1, false, "y"}
	if got := see(a, x, y, living); got != "" {
		t.Errorf("at first: %q", got)
	}
	now = now.Add(e.opts.Takeover)
	living.n++
	if got := see(a, x, y, living); got != "x2 a1" {
		t.Errorf("after the lease: %q", got)
	}
	now = now.Add(3 * e.opts.Beat)
	living.n++
	if got := see(a, x, y, living); got != "x2 a1 y3" {
		t.Errorf("three beats later: %q", got)
	}
	a.released, a.run, x.n = true, 9, 6
	if got := see(a, x, living); got != "a9" {
		t.Errorf("one that is released: %q", got)
	}
}

// A batch has a bounded number of ends, and no argument goes before its job.
func TestManyEnds(t *testing.T) {
	e, err := Open(Options{URL: "postgres://h/d"})
	if err != nil {
		t.Fatal(err)
	}
	const n = 2*lazyMost + 5
	e.next.updated = map[uint64]update{}
	for number := range uint64(n) {
		e.next.ended = append(e.next.ended, int64(number))
		if number%2 == 0 {
			e.next.args = append(e.next.args, int64(number))
		}
		e.next.updated[number] = update{retries: uint16(number)}
	}
	gone, retried, batches := map[int64]bool{}, 0, 0
	for e.next.lazy() > 0 {
		b := e.cut()
		if len(b.ended) > lazyMost || len(b.updated) > lazyMost {
			t.Fatalf("a batch has %d ends and %d retries", len(b.ended), len(b.updated))
		}
		for _, number := range b.ended {
			gone[number] = true
		}
		for _, number := range b.args {
			if !gone[number] {
				t.Fatalf("the argument of job %d goes before it", number)
			}
		}
		retried += len(b.updated)
		batches++
	}
	if len(gone) != n || retried != n || batches != 3 {
		t.Errorf("%d ends and %d retries of %d in %d batches", len(gone), retried, n, batches)
	}
}

// The end of an attempt that was refused comes no later than the job that was appended again under its number.
func TestEndOfRefusedJob(t *testing.T) {
	e, err := Open(Options{URL: "postgres://h/d"})
	if err != nil {
		t.Fatal(err)
	}
	e.failed, e.runs[1] = nil, true
	number := store.Number(1, 0, store.ShardOf("f"))
	for n := range int64(lazyMost) {
		e.next.ended = append(e.next.ended, -1-n)
	}
	e.next.ended, e.next.args = append(e.next.ended, int64(number), -1-lazyMost), append(e.next.args, int64(number))
	if _, err := e.Append(&store.Job{Number: number, Function: "f", Argument: [][]byte{nil}}, told{}); err != nil {
		t.Fatal(err)
	}
	if b := e.cut(); len(b.jobs) != 1 || !slices.Contains(b.ended, int64(number)) {
		t.Error("the end of the refused job is not in the batch of the new one")
	}
	if rest := e.cut(); len(rest.ended) != 1 || len(rest.args) != 0 {
		t.Errorf("the ends of %d jobs and %d arguments come later, want 1 and 0", len(rest.ended), len(rest.args))
	}
}
