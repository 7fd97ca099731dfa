package sched

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"gearloop/codec"
	"gearloop/internal/payload"
	"gearloop/store"
)

// TestBudgetLeases charges and refunds on several shards: what is drawn always equals what is charged plus
// what is available, and at most a quarter is idle.
func TestBudgetLeases(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Int64Range(1, 1<<22).Draw(t, "max")
		s := New(Config{Dialect: perl().Dialect, MaxMemory: limit})
		charged, booked := make([]int64, shardCount), make([]int64, shardCount) // the latter for workers
		total := int64(0)
		t.Repeat(map[string]func(*rapid.T){
			"charge": func(t *rapid.T) {
				i, n := rapid.IntRange(0, shardCount-1).Draw(t, "shard"), rapid.IntRange(0, int(limit)).Draw(t, "bytes")
				sh := &s.shards[i]
				ok, of := false, charged
				if rapid.Bool().Draw(t, "for workers") {
					ok, of = sh.chargeWorker(n), booked
				} else {
					ok = sh.charge(n)
				}
				if ok {
					of[i] += int64(n)
					total += int64(n)
				} else if total+int64(n) <= limit/2 {
					t.Fatalf("%d more were refused with %d of %d in use", n, total, limit)
				}
			},
			"refund": func(t *rapid.T) {
				i := rapid.IntRange(0, shardCount-1).Draw(t, "shard")
				n := rapid.Int64Range(0, charged[i]).Draw(t, "bytes")
				s.shards[i].refund(int(n))
				charged[i] -= n
				total -= n
			},
			"refund for workers": func(t *rapid.T) {
				i := rapid.IntRange(0, shardCount-1).Draw(t, "shard")
				n := rapid.Int64Range(0, booked[i]).Draw(t, "bytes")
				s.shards[i].refundWorker(int(n))
				booked[i] -= n
				total -= n
			},
			"": func(t *rapid.T) {
				drawn, idle, ofWorkers := int64(0), int64(0), int64(0)
				for i := range s.shards {
					sh := &s.shards[i]
					if sh.memory != charged[i]+booked[i] || sh.credit < 0 {
						t.Fatalf("shard %d: memory %d, credit %d, charged %d and %d", i, sh.memory, sh.credit, charged[i], booked[i])
					}
					ofWorkers += booked[i]
					drawn += sh.memory + sh.credit
					idle += sh.credit
				}
				if used := s.budget.used.Load(); used != drawn || used > limit {
					t.Fatalf("%d used, %d drawn, limit %d", used, drawn, limit)
				}
				if n := s.budget.workers.Load(); n != ofWorkers {
					t.Fatalf("%d used by workers, booked %d", n, ofWorkers)
				}
				if idle > limit/4 {
					t.Fatalf("%d of %d lie idle", idle, limit)
				}
			},
		})
	})
}

// TestNoBudget: without a bound nothing is refused, but it is counted.
func TestNoBudget(t *testing.T) {
	s := New(perl())
	sh := &s.shards[0]
	if !sh.charge(1<<40) || !sh.chargeWorker(1<<40) || sh.memory != 1<<41 {
		t.Errorf("memory %d", sh.memory)
	}
	if sh.refund(1 << 41); s.Count().Memory != 0 {
		t.Errorf("memory %d", sh.memory)
	}
}

// TestBudgetTogether charges from several goroutines.
func TestBudgetTogether(t *testing.T) {
	cfg := perl()
	cfg.MaxMemory = 1 << 20
	s := New(cfg)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 20_000 {
				sh := &s.shards[(i*(g+1))%shardCount]
				sh.lock()
				if sh.charge(1000) {
					sh.refund(600)
					sh.refund(400)
				}
				sh.mu.Unlock()
				if used := s.budget.used.Load(); used > 2*cfg.MaxMemory {
					t.Errorf("%d in use", used)
					return
				}
			}
		})
	}
	wg.Wait()
	idle := int64(0)
	for i := range s.shards {
		idle += s.shards[i].credit
	}
	if used := s.budget.used.Load(); used != idle || s.Count().Memory != 0 {
		t.Errorf("%d used, %d idle, %d charged", used, idle, s.Count().Memory)
	}
}

// submitUntilRefused submits jobs until one is refused and returns the number of accepted ones.
func submitUntilRefused(s *Sched, client *Peer, functions int, argument string) int {
	var fx Effects
	defer fx.Reset()
	refused := 0
	for n := 0; ; n++ {
		data := fmt.Sprintf("job%d\x00\x00%s", n%functions, argument)
		s.Handle(client, codec.SubmitJobBg, payload.Borrow([]byte(data)), start, &fx)
		if fx.Packets[0].Type == codec.Error {
			if refused++; refused == functions {
				return n - refused + 1
			}
		}
		fx.Reset()
	}
}

// TestMemoryFull: over the budget new jobs are refused, existing ones are not lost, and the end of jobs frees
// their memory.
func TestMemoryFull(t *testing.T) {
	cfg := perl()
	cfg.MaxMemory = 256 << 10
	r := newRig(t, cfg)
	client := r.connect()
	r.do(client, codec.SubmitJob, "f", "u", "x")
	n := submitUntilRefused(r.s, client, 1, strings.Repeat("a", 1000))
	r.check()
	if n < 100 || n > 256 {
		t.Errorf("%d jobs of 1 kB found room in 256 KiB", n)
	}
	r.do(client, codec.SubmitJob, "job0", "", strings.Repeat("a", 1000))
	r.do(client, codec.SubmitJob, "f", "", strings.Repeat("a", 1000))
	r.do(client, codec.SubmitJobEpoch, "f", "", "4000000000", strings.Repeat("a", 1000))
	r.want(client, "JOB_CREATED h1", "ERROR queue_full|Job queue is full", "ERROR queue_full|Job queue is full", "ERROR queue_full|Job queue is full")
	worker := r.worker("f", "job0")
	r.want(worker)
	for range n + 1 {
		r.do(worker, codec.GrabJobUniq)
		if len(r.got[worker]) != 1 || !strings.HasPrefix(r.got[worker][0], "JOB_ASSIGN_UNIQ ") {
			t.Fatalf("%.100q", r.got[worker])
		}
		handle := strings.Split(strings.TrimPrefix(r.got[worker][0], "JOB_ASSIGN_UNIQ "), "|")[0]
		r.got[worker] = nil
		r.do(worker, codec.WorkComplete, r.handle(handle), "")
	}
	r.do(worker, codec.GrabJob)
	r.want(worker, "NO_JOB")
	r.leave(worker) // its abilities take memory, too
	if again := submitUntilRefused(r.s, client, 1, strings.Repeat("a", 1000)); again < n {
		t.Errorf("%d jobs found room, then only %d", n, again)
	}
}

// TestWorkersFindRoom: workers can register while the queues are full, however often they come and go.
func TestWorkersFindRoom(t *testing.T) {
	cfg := perl()
	cfg.MaxMemory = 16 << 20
	s := New(cfg)
	client := &Peer{}
	s.Connect(client)
	var fx Effects
	declare := func(n int) (refused int) {
		w := &Peer{}
		s.Connect(w)
		for i := range n {
			name := fmt.Sprintf("%d%s", i, strings.Repeat("w", 400))
			s.Handle(w, codec.CanDo, payload.Borrow([]byte(name)), start, &fx)
			refused += len(fx.Packets)
			fx.Reset()
		}
		for again := true; again; {
			s.Disconnect(w, start, &fx)
			again = fx.Again
			fx.Reset()
		}
		return refused
	}
	const workers = 1000 // about 1 MB of the 2 MiB that jobs can't have
	for turn := range 20 {
		submitUntilRefused(s, client, 500, strings.Repeat("a", 2000))
		submitUntilRefused(s, client, 500, "")
		if n := declare(workers); n > 0 {
			t.Fatalf("turn %d: %d of %d abilities were refused", turn+1, n, workers)
		}
	}
	if err := s.checkInvariants(view{}); err != nil {
		t.Error(err)
	}
}

// TestRefusedAbility: a worker for which there is no memory gets an error and is not registered.
func TestRefusedAbility(t *testing.T) {
	cfg := perl()
	cfg.MaxMemory = 3*(costFunction+costAbility) + 100
	r := newRig(t, cfg)
	w := r.worker("one", "two", "three", "four")
	r.want(w, "ERROR queue_full|Job queue is full")
	if n := len(w.abilities); n != 3 {
		t.Errorf("%d abilities", n)
	}
	r.do(w, codec.CantDo, "one")
	r.do(w, codec.CanDo, "four")
	r.want(w)
	if r.s.SetMaxQueue("five", bounds(1)) {
		t.Error("maxqueue found room")
	}
	if !r.s.SetMaxQueue("five", bounds(-1)) || !r.s.SetMaxQueue("two", bounds(1)) {
		t.Error("maxqueue was refused where it takes no room")
	}
	client := r.connect()
	r.do(client, codec.SubmitJob, "six", "", "")
	r.want(client, "ERROR queue_full|Job queue is full")
}

// TestRefusedListener: if there is no memory for a listener, the job is unchanged.
func TestRefusedListener(t *testing.T) {
	cfg := perl()
	cfg.MaxMemory = 64 << 10
	r := newRig(t, cfg)
	client, worker := r.connect(), r.worker("f")
	r.do(client, codec.SubmitJob, "f", "u", "x")
	r.want(client, "JOB_CREATED h1")
	for range 64 << 10 / costListener {
		r.do(client, codec.SubmitJob, "f", "u", "x")
	}
	got := r.got[client]
	r.got[client] = nil
	joined := 0
	for i, text := range got {
		if text == "JOB_CREATED h1" {
			joined++
		} else if text != "ERROR queue_full|Job queue is full" || i < joined {
			t.Fatalf("%d: %s", i, text)
		}
	}
	if joined == len(got) || joined < 1000 {
		t.Fatalf("%d of %d joined", joined, len(got))
	}
	r.do(worker, codec.GrabJob)
	r.do(worker, codec.WorkComplete, r.handle("h1"), "")
	if n := len(r.got[client]); n != joined+1 {
		t.Errorf("heard %d times, should be %d", n, joined+1)
	}
	r.leave(worker)
	r.leave(client)
	if c := r.s.Count(); c != (Counts{}) {
		t.Errorf("%+v", c)
	}
}

// TestStoreOverTheBound adopts more stored jobs than there is memory for: submissions are refused, but
// workers register and empty the store.
func TestStoreOverTheBound(t *testing.T) {
	bothDialects(t, func(t *testing.T, cfg Config) {
		cfg.MaxMemory = 64 << 10
		r := newRig(t, cfg)
		fake := newFakeStore()
		const jobs = 300
		for i := range jobs {
			job := store.Job{Number: store.Number(1, uint64(i+1), store.ShardOf("f")), Function: "f", Priority: store.Normal}
			fake.loaded = append(fake.loaded, &entry{job: job, whole: strings.Repeat("x", 1000)})
		}
		fake.run = 2
		r.attach(fake)
		if used := r.s.Count().Memory; used < 4*cfg.MaxMemory || r.s.HasRoom() {
			t.Fatalf("%d bytes are used, of a bound of %d", used, cfg.MaxMemory)
		}
		c := r.connect()
		r.do(c, codec.SubmitJob, "f", "", "x")
		r.want(c, "ERROR "+cfg.Dialect.QueueFull.Code+"|"+cfg.Dialect.QueueFull.Text)
		for n := range jobs {
			w := r.worker("f", "g", "h")
			r.want(w)
			r.do(w, codec.GrabJobUniq)
			got := strings.Split(strings.TrimPrefix(r.got[w][0], "JOB_ASSIGN_UNIQ "), "|")
			if len(got) != 4 {
				t.Fatalf("after %d jobs: %.100q", n, r.got[w])
			}
			r.do(w, codec.WorkComplete, r.handle(got[0]), "")
			r.leave(w)
		}
		if !r.s.HasRoom() {
			t.Error("no room, and all is done")
		}
		r.do(c, codec.SubmitJob, "f", "", "x")
		if got := r.got[c]; len(got) != 1 || !strings.HasPrefix(got[0], "JOB_CREATED") {
			t.Errorf("%q", got)
		}
		r.cancel(r.handle(strings.TrimPrefix(r.got[c][0], "JOB_CREATED ")))
	})
}

// TestWhenAbove: Grown is called once, when more is charged than was asked for, and again only on request.
func TestWhenAbove(t *testing.T) {
	calls := 0
	s := New(Config{Dialect: perl().Dialect, MaxMemory: 64 << 20, Grown: func() { calls++ }})
	sh := &s.shards[7]
	for i, step := range []struct {
		above  int64 // -1: no request
		charge int
		calls  int
	}{
		{-1, 1 << 20, 0}, {4 << 20, 2 << 20, 0}, {-1, 2 << 20, 1}, {-1, 8 << 20, 1}, {20 << 20, 1 << 20, 1}, {-1, 8 << 20, 2},
		{1, 1, 2}, {-1, 2 << 20, 3}, // a request for less than is in use is met by the next lease
	} {
		if step.above >= 0 {
			s.WhenAbove(step.above)
		}
		if !sh.charge(step.charge) {
			t.Fatalf("step %d: refused", i)
		}
		if calls != step.calls {
			t.Errorf("step %d: %d calls with %d bytes charged, want %d", i, calls, s.Memory(), step.calls)
		}
	}
}
