package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gearloop/store"
	"gearloop/test/await"
)

// broker is the user of an engine: it knows which jobs it may hand out.
type broker struct {
	store.NoEvents
	tb testing.TB
	*Engine

	mu       sync.Mutex
	run      uint64
	next     uint64
	mine     map[uint64]bool // jobs that it may hand out
	acked    map[uint64]bool
	lease    time.Time
	disowned int
	order    []string // receipts with errors, and Disowned
	room     int      // chunks that it may adopt before it has no room; <0: any number
	asked    int      // times that it was asked whether there is room again
}

func start(tb testing.TB, url string, change func(*Options)) *broker {
	tb.Helper()
	opts := quick(url)
	opts.Patience = await.Limit
	if change != nil {
		change(&opts)
	}
	e, err := Open(opts)
	if err != nil {
		tb.Fatal(err)
	}
	b := &broker{tb: tb, Engine: e, room: -1, mine: map[uint64]bool{}, acked: map[uint64]bool{}}
	if err := e.Start(b); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = b.Close() })
	await.Until(tb, "it may hand out", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.run != 0 && time.Now().Before(b.lease) && b.Stats().Failed == nil
	})
	return b
}

func (b *broker) Opened(run uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.run, b.next = run, 0
}

func (b *broker) Lease(until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lease = until
}

func (b *broker) Adopt(jobs []store.Job) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range jobs {
		if b.mine[jobs[i].Number] {
			b.tb.Errorf("job %d is adopted twice", jobs[i].Number)
		}
		b.mine[jobs[i].Number] = true
	}
	if len(jobs) == 0 {
		b.asked++
	} else if b.room > 0 {
		b.room--
	}
	return b.room != 0
}

func (b *broker) Disowned() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.mine)
	b.disowned++
	b.order = append(b.order, "disowned")
}

// told is a receipt.
type told struct {
	b      *broker
	number uint64
	came   chan error
}

func (r told) Stored(_ store.Ref, err error) {
	r.b.mu.Lock()
	if err == nil {
		r.b.mine[r.number], r.b.acked[r.number] = true, true
	} else {
		r.b.order = append(r.b.order, "receipt")
	}
	r.b.mu.Unlock()
	r.came <- err
}

// submit appends a job and returns its number and where its receipt comes; nil: it is refused.
func (b *broker) submit(function, unique string) (uint64, <-chan error) {
	return b.submitSized(function, unique, []byte("x"))
}

func (b *broker) submitSized(function, unique string, argument []byte) (uint64, <-chan error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.run == 0 {
		return 0, nil
	}
	b.next++
	number := store.Number(b.run, b.next, store.ShardOf(function))
	came := make(chan error, 1)
	job := store.Job{Number: number, Function: function, Unique: unique, Argument: [][]byte{argument}}
	if _, err := b.Append(&job, told{b, number, came}); err != nil {
		return 0, nil
	}
	b.Hurry()
	return number, came
}

func (b *broker) mustSubmit(function, unique string) uint64 {
	b.tb.Helper()
	number, came := b.submit(function, unique)
	if came == nil {
		b.tb.Fatal("a job is refused")
	}
	if err := <-came; err != nil {
		b.tb.Fatal(err)
	}
	return number
}

func (b *broker) owns(number uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mine[number]
}

// What one lets go of in order, another has at once, in order of their runs.
func TestReleased(t *testing.T) {
	server := shared(t)
	url := server.URL(server.Schema(t))
	a := start(t, url, nil)
	var numbers []uint64
	for n := range 1200 {
		numbers = append(numbers, a.mustSubmit(fmt.Sprint("f", n%5), ""))
	}
	b := start(t, url, func(o *Options) { o.Takeover = time.Hour })
	ended := numbers[7]
	a.Done(store.Ref(ended))
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the other has all jobs", func() bool {
		for _, number := range numbers {
			if number != ended && !b.owns(number) {
				return false
			}
		}
		return true
	})
	if b.owns(ended) {
		t.Error("a job that had ended is there")
	}
}

// Jobs are taken over while their owner stores: each that was acknowledged is somebody's afterwards, and only one's. Whoever
// looks at the fence without locking it loses hundreds here.
func TestTakenOverWhileItStores(t *testing.T) {
	server := shared(t)
	schema := server.Schema(t)
	url := server.URL(schema)
	var silent atomic.Bool
	still := func(o *Options) {
		o.beating = func() error {
			if silent.Load() {
				return errors.New("it does not beat")
			}
			return nil
		}
		o.Takeover = time.Hour // the test does that
	}
	brokers := []*broker{start(t, url, still), start(t, url, func(o *Options) { o.Takeover = time.Hour })}
	silent.Store(true)
	// A commit takes its time, as it does when it waits for a standby.
	server.Exec(t, fmt.Sprintf(`set search_path to %s;
		create function nap() returns trigger language plpgsql as $$ begin perform pg_sleep(0.02); return null; end $$;
		create constraint trigger nap after insert on job deferrable initially deferred for each row execute function nap()`, schema))
	var acked sync.Map
	stop := make(chan struct{})
	var load sync.WaitGroup
	for i, b := range brokers {
		for k := range 8 {
			load.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					number, came := b.submit(fmt.Sprint("f", i, k), "")
					if came == nil {
						time.Sleep(time.Millisecond)
					} else if <-came == nil {
						acked.Store(number, true)
					}
				}
			})
		}
	}
	victim, other := brokers[0], brokers[1] // were the other taken over as well, it would all be read again
	for range extent(10, 60) {
		victim.mu.Lock()
		before, had := victim.disowned, len(victim.mine)
		victim.mu.Unlock()
		await.Until(t, "it has new jobs", func() bool {
			victim.mu.Lock()
			defer victim.mu.Unlock()
			return victim.run != 0 && len(victim.mine) > had+8
		})
		run := victim.heart.run0()
		var n int64
		pool, err := other.readers(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		await.Until(t, "it is disowned", func() bool {
			if err := pool.QueryRow(context.Background(), `select n from beat where run = $1`, int64(run)).Scan(&n); err == nil {
				if err := other.takeRuns(context.Background(), other.heart.run0(), otherBeat(run, n)); err != nil {
					t.Fatal(err)
				}
				other.heart.ring()
			}
			victim.mu.Lock()
			defer victim.mu.Unlock()
			return victim.disowned > before
		})
	}
	close(stop)
	load.Wait()
	count := 0
	await.Until(t, "each job is somebody's", func() bool {
		count = 0
		all := true
		acked.Range(func(number, _ any) bool {
			count++
			all = brokers[0].owns(number.(uint64)) != brokers[1].owns(number.(uint64))
			return all
		})
		return all
	})
	if count < 160 {
		t.Errorf("only %d jobs", count)
	}
}

func otherBeat(run uint64, n int64) other { return other{run: run, n: n} }

// A broker that can't beat is taken over. When it wakes, its batch changes nothing, what was waiting is refused, and it goes on
// with a new run.
func TestFrozen(t *testing.T) {
	server := shared(t)
	url := server.URL(server.Schema(t))
	var frozen atomic.Bool
	gate := make(chan struct{})
	a := start(t, url, func(o *Options) {
		o.Takeover = time.Hour // it leaves the other alone, however slow the machine is
		o.before = func(call string) error {
			if frozen.Load() && call == "commit" {
				<-gate
			}
			return nil
		}
		o.beating = func() error {
			if frozen.Load() {
				return errors.New("frozen")
			}
			return nil
		}
	})
	kept, ended := a.mustSubmit("f", "kept"), a.mustSubmit("f", "ended late")
	frozen.Store(true)
	_, late := a.submit("f", "late")
	b := start(t, url, nil)
	await.Until(t, "the other has taken over", func() bool { return b.owns(kept) && b.owns(ended) })
	a.Done(store.Ref(ended))
	frozen.Store(false)
	close(gate)
	if err := <-late; !errors.Is(err, store.ErrFailed) {
		t.Errorf("the late job: %v", err)
	}
	await.Until(t, "it is disowned and goes on", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.disowned > 0 && a.run > store.RunOf(kept)
	})
	await.Until(t, "it takes jobs again", func() bool {
		_, came := a.submit("f", "")
		return came != nil && <-came == nil
	})
	if !b.owns(kept) || !b.owns(ended) {
		t.Error("the new owner has lost a job to the late end of the old one")
	}
}

// The connection is lost between the commit and its reply: the batch is sent again, and is there once.
func TestReplyLost(t *testing.T) {
	server := shared(t)
	schema := server.Schema(t)
	var lose atomic.Int64
	a := start(t, server.URL(schema), func(o *Options) {
		o.after = func(string) error {
			if lose.Add(-1) >= 0 {
				return errors.New("the connection is lost")
			}
			return nil
		}
	})
	jobs := extent(9, 60)
	for n := range jobs {
		lose.Store(int64(1 + n%3))
		a.mustSubmit("f", fmt.Sprint("u", n%2, n))
		a.mustSubmit("f", "")
	}
	var rows int
	pool, err := a.readers(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := pool.QueryRow(context.Background(), "select count(*) from job").Scan(&rows); err != nil || rows != 2*jobs {
		t.Errorf("%d rows, %v", rows, err)
	}
}

// One unique id at two brokers: only one job lives, and the other submitter is told of it; when that has ended, the next
// is a new job, though its end may not have been written yet.
func TestUniqueIDsOverBrokers(t *testing.T) {
	server := shared(t)
	url := server.URL(server.Schema(t))
	brokers := map[string]*broker{}
	ask := func(o *Options) {
		o.Ask = func(_ context.Context, to Peer, requests []Request) (all []store.Status, err error) {
			for _, r := range requests {
				all = append(all, store.Status{Known: brokers[to.Address].has(r.Number)})
			}
			return all, nil
		}
		o.lazyFor = 20 * time.Millisecond
	}
	for _, name := range []string{"a", "b"} {
		brokers[name] = start(t, url, func(o *Options) { ask(o); o.Address, o.Takeover = name, time.Hour })
	}
	var jobs, joined atomic.Int64
	var all sync.WaitGroup
	for name, b := range brokers {
		for k := range 4 {
			all.Go(func() {
				for n := range 60 {
					unique := fmt.Sprint("u", (n+k)%7)
					number, came := b.submit("f", unique+name[:0])
					if came == nil {
						t.Error("a job is refused")
						return
					}
					taken := (*store.UniqueTaken)(nil)
					switch err := <-came; {
					case err == nil:
						jobs.Add(1)
						b.Done(store.Ref(number))
					case errors.As(err, &taken):
						joined.Add(1)
					default:
						t.Error(err)
					}
				}
			})
		}
	}
	all.Wait()
	if jobs.Load()+joined.Load() != 2*4*60 {
		t.Errorf("%d jobs and %d joined", jobs.Load(), joined.Load())
	}
	a, b := brokers["a"], brokers["b"]
	first := a.mustSubmit("g", "u")
	_, came := b.submit("g", "u")
	taken := (*store.UniqueTaken)(nil)
	if err := <-came; !errors.As(err, &taken) || taken.Number != first {
		t.Errorf("%v, want the job %d", err, first)
	}
	answers := make(chan store.Status, 1)
	if !b.Lookup(first, func(st store.Status) { answers <- st }) {
		t.Fatal("nobody is asked")
	}
	if st := <-answers; !st.Known {
		t.Error("the job is not known at the other broker")
	}
	a.Done(store.Ref(first))
	b.mustSubmit("g", "u")
}

// The owner of a job is silent until all time to ask it is over: the table still tells that the job is there. A job whose
// unique id it has is refused in the end, not left without an answer.
func TestSilentOwner(t *testing.T) {
	server := shared(t)
	url := server.URL(server.Schema(t))
	a := start(t, url, func(o *Options) { o.Takeover = time.Hour })
	number := a.mustSubmit("f", "u")
	b := start(t, url, func(o *Options) {
		o.Ask = func(ctx context.Context, _ Peer, _ []Request) ([]store.Status, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		o.Takeover = 2 * time.Second
	})
	b.heart.mu.Lock()
	b.heart.taking = true // it takes nothing over
	b.heart.mu.Unlock()
	answers := make(chan store.Status, 1)
	if !b.Lookup(number, func(st store.Status) { answers <- st }) {
		t.Fatal("nobody is asked")
	}
	if st := <-answers; !st.Known || st.Running {
		t.Errorf("%+v", st)
	}
	_, came := b.submit("f", "u")
	if err := <-came; !errors.Is(err, store.ErrFailed) {
		t.Errorf("a job whose unique id a silent broker has: %v", err)
	}
}

// A broker without memory for more jobs adopts no more until there is room, and serves on meanwhile.
func TestAdoptsAsRoomComes(t *testing.T) {
	server := shared(t)
	url := server.URL(server.Schema(t))
	a := start(t, url, alone)
	var numbers []uint64
	var receipts []<-chan error
	for n := range 5 * store.AdoptMost {
		number, came := a.submit(fmt.Sprint("f", n%5), "")
		if came == nil {
			t.Fatal("a job is refused")
		}
		numbers, receipts = append(numbers, number), append(receipts, came)
	}
	for _, came := range receipts {
		if err := <-came; err != nil {
			t.Fatal(err)
		}
	}
	b := start(t, url, alone)
	b.mu.Lock()
	b.room = 2
	b.mu.Unlock()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	adopted := func() (n int) {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, number := range numbers {
			if b.mine[number] {
				n++
			}
		}
		return n
	}
	await.Until(t, "it is asked again whether there is room", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.asked > 3
	})
	if n := adopted(); n != 2*store.AdoptMost {
		t.Errorf("%d jobs are adopted, there is room for %d", n, 2*store.AdoptMost)
	}
	b.mustSubmit("g", "")
	b.mu.Lock()
	b.room = -1
	b.mu.Unlock()
	await.Until(t, "all jobs are adopted", func() bool { return adopted() == len(numbers) })
}
