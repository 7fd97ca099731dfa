package postgres

import (
	"context"
	"errors"
	"runtime"
	"slices"
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
		select {
		case <-a.open:
		default:
			return nil, ctx.Err()
		}
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
	server := shared(t)
	url := server.URL(server.Schema(t))
	a := start(t, url, alone)
	held := a.mustSubmit("f", "u")
	peers := &asked{open: make(chan struct{})}
	b := start(t, url, func(o *Options) { alone(o); o.Ask = peers.ask; o.Beat = time.Hour })
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
	server := shared(t)
	url := server.URL(server.Schema(t))
	a := start(t, url, alone)
	a.mustSubmit("f", "u")
	peers := &asked{open: make(chan struct{}), known: true}
	b := start(t, url, func(o *Options) { alone(o); o.Ask = peers.ask; o.Beat = time.Hour; o.MaxQueued = 1 << 20 })
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
	server := shared(t)
	url := server.URL(server.Schema(t))
	a := start(t, url, alone)
	held := a.mustSubmit("f", "u")
	peers := &asked{open: make(chan struct{})}
	b := start(t, url, func(o *Options) { alone(o); o.Ask = peers.ask; o.Beat = time.Hour })
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
	e, err := Open(Options{URL: "postgres://h/d", retryEvery: time.Hour})
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
	server := shared(t)
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
	server := shared(t)
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
	server := shared(t)
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
