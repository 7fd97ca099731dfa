package storetest

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gearloop/store"
	"gearloop/test/await"
)

// process is one opening of a store. It checks that the engine keeps the rules of its calls.
type process struct {
	store.Store
	l *ledger

	hurryless bool        // Hurry is not called
	appending sync.Mutex  // held during Append, so that the order is known
	inside    atomic.Bool // a call of the engine's goroutine is running

	mu      sync.Mutex
	cond    *sync.Cond
	wrong   []string // broken rules
	run     uint64
	runs    []uint64
	lease   time.Time
	adopted []store.Job
	refs    map[uint64]store.Ref
	order   []uint64 // jobs that await their receipt
	calls   int      // since the last Flushed
	flushes int
	next    uint64 // count of the next job
	over    bool   // the test simulates that the process has crashed: calls are ignored
}

// start opens and starts a site's store, and compares it with the ledger.
func start(site Site, l *ledger, orderly bool) (*process, error) {
	s, err := site.Open()
	if err != nil {
		return nil, err
	}
	p := &process{Store: s, l: l, refs: map[uint64]store.Ref{}}
	p.cond = sync.NewCond(&p.mu)
	if err = s.Start(p); err == nil {
		err = p.started(site, orderly)
	}
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	return p, nil
}

// started checks the result of Start.
func (p *process) started(site Site, orderly bool) error {
	for end := time.Now().Add(await.Limit); ; time.Sleep(time.Millisecond) {
		p.mu.Lock()
		ready := p.run != 0 && time.Now().Before(p.lease) && p.calls == 0
		p.mu.Unlock()
		if ready && p.Stats().Failed == nil && site.Adopted(p.Store) {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("after Start there is no run, no lease, or no Flushed")
		}
	}
	if err := p.broken(); err != nil {
		return err
	}
	if err := p.l.compare(p.adopted, orderly); err != nil {
		return err
	}
	for i := range p.adopted {
		job := &p.adopted[i]
		if job.Argument != nil {
			continue
		}
		var whole bytes.Buffer
		if err := p.argument(job.Ref, &whole); err != nil {
			return fmt.Errorf("argument of job %d: %w", job.Number, err)
		}
		if !bytes.Equal(whole.Bytes(), p.l.jobs[job.Number].job.Argument[0]) {
			return fmt.Errorf("job %d has another argument", job.Number)
		}
	}
	return nil
}

// mustStart is start, and fails the test.
func mustStart(tb testing.TB, site Site, l *ledger, orderly bool) *process {
	tb.Helper()
	p, err := start(site, l, orderly)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// mustClose closes the store in order.
func (p *process) mustClose(tb testing.TB) {
	tb.Helper()
	if err := p.close(); err != nil {
		tb.Fatal(err)
	}
}

// close closes the store. All receipts must have come by then.
func (p *process) close() error {
	if err := p.Close(); err != nil {
		return err
	}
	if err := p.broken(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.order) > 0 {
		return fmt.Errorf("%d jobs have no receipt, the first is %d", len(p.order), p.order[0])
	}
	if p.calls > 0 {
		return fmt.Errorf("%d calls were not followed by Flushed", p.calls)
	}
	return nil
}

// counted checks that the store counts as many jobs as live.
func (p *process) counted() error {
	living := 0
	p.l.mu.Lock()
	for _, j := range p.l.jobs {
		if j.acked && !j.done {
			living++
		}
	}
	p.l.mu.Unlock()
	if s := p.Stats(); s.Jobs != living {
		return fmt.Errorf("%d jobs live, %d are counted", living, s.Jobs)
	}
	return nil
}

// crashed simulates the death of the process: later calls of its engine are ignored. It closes the store to
// free it.
func (p *process) crashed() {
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
	_ = p.Close()
}

// broken returns which rules the engine has broken.
func (p *process) broken() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.wrong) > 0 {
		return fmt.Errorf("rules are broken: %s", strings.Join(p.wrong, "; "))
	}
	return nil
}

// enter begins a call of the engine's goroutine, and returns the function that ends it.
func (p *process) enter() (leave func()) {
	if !p.inside.CompareAndSwap(false, true) {
		p.mu.Lock()
		p.wrong = append(p.wrong, "two calls come at the same time")
		p.mu.Unlock()
	}
	p.mu.Lock()
	p.calls++
	return func() {
		p.cond.Broadcast()
		p.mu.Unlock()
		p.inside.Store(false)
	}
}

func (p *process) wrongf(format string, a ...any) {
	p.wrong = append(p.wrong, fmt.Sprintf(format, a...))
}

// Opened implements store.Events.
func (p *process) Opened(run uint64) {
	defer p.enter()()
	if p.over {
		return
	}
	p.l.mu.Lock()
	defer p.l.mu.Unlock()
	if run == 0 || run > store.MaxRun || run <= p.l.run {
		p.wrongf("run %d is opened after %d", run, p.l.run)
	}
	p.run, p.l.run, p.next = run, run, 0
	p.runs = append(p.runs, run)
}

// Lease implements store.Events.
func (p *process) Lease(until time.Time) {
	defer p.enter()()
	p.lease = until
}

// Adopt implements store.Events.
func (p *process) Adopt(jobs []store.Job) bool {
	defer p.enter()()
	if len(jobs) > store.AdoptMost {
		p.wrongf("%d jobs are adopted at a time", len(jobs))
	}
	for _, job := range jobs {
		if job.Ref == 0 {
			p.wrongf("job %d has no Ref", job.Number)
		}
		if job.Argument != nil {
			job.Argument = [][]byte{bytes.Join(job.Argument, nil)}
		}
		p.adopted = append(p.adopted, job)
		p.refs[job.Number] = job.Ref
	}
	return true
}

// Disowned implements store.Events.
func (p *process) Disowned() {
	defer p.enter()()
	p.wrongf("disowned, and nobody shares the store")
}

// Flushed implements store.Events.
func (p *process) Flushed() {
	defer p.enter()()
	if p.calls == 1 && !p.over {
		p.wrongf("Flushed comes after nothing")
	}
	p.calls = 0
	p.flushes++
}

// receipt is the receipt of one job.
type receipt struct {
	p      *process
	number uint64
	came   chan error
}

// Stored implements store.Receipt.
func (r *receipt) Stored(ref store.Ref, err error) {
	p := r.p
	defer p.enter()()
	if p.over {
		return
	}
	if len(p.order) == 0 || p.order[0] != r.number {
		p.wrongf("the receipt of job %d comes, but that of %d is next", r.number, p.order)
	} else {
		p.order = p.order[1:]
	}
	if known := p.refs[r.number]; known != 0 && known != ref && err == nil {
		p.wrongf("job %d has ref %d, its receipt %d", r.number, known, ref)
	}
	p.l.change(r.number, func(j *ledgerJob) {
		if j.acked || j.refused {
			p.wrongf("job %d has two receipts", r.number)
		}
		delete(p.refs, r.number)
		if err == nil {
			p.refs[r.number] = ref
		}
		j.acked, j.refused = err == nil, err != nil
	})
	r.came <- err
}

// number returns the next number of a job of a function.
func (p *process) number(function string) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next++
	return store.Number(p.run, p.next, store.ShardOf(function))
}

// append appends a job under a new number, and returns a channel for its receipt. With an error the store did
// not accept it.
func (p *process) append(job *store.Job) (<-chan error, error) {
	p.appending.Lock()
	defer p.appending.Unlock()
	job.Number = p.number(job.Function)
	return p.appendNow(job)
}

// appendAgain appends a job under the number that it has.
func (p *process) appendAgain(job *store.Job) (<-chan error, error) {
	p.appending.Lock()
	defer p.appending.Unlock()
	return p.appendNow(job)
}

// appendNow is appendAgain for whoever has the lock.
func (p *process) appendNow(job *store.Job) (<-chan error, error) {
	r := &receipt{p, job.Number, make(chan error, 1)}
	p.l.add(job)
	p.mu.Lock()
	p.order = append(p.order, job.Number)
	p.mu.Unlock()
	ref, err := p.Append(job, r)
	if !p.hurryless {
		p.Hurry()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.order = p.order[:len(p.order)-1]
		p.l.change(job.Number, func(j *ledgerJob) { j.refused = true })
		return nil, err
	}
	if ref == 0 {
		p.wrongf("job %d has ref 0", job.Number)
	}
	if _, told := p.refs[job.Number]; !told && slices.Contains(p.order, job.Number) {
		p.refs[job.Number] = ref // otherwise its receipt has come
	}
	return r.came, nil
}

// put appends a job and waits for its receipt.
func (p *process) put(job *store.Job) error {
	came, err := p.append(job)
	if err != nil {
		return err
	}
	return <-came
}

// mustPut is put, and fails the test.
func (p *process) mustPut(tb testing.TB, job *store.Job) uint64 {
	tb.Helper()
	if err := p.put(job); err != nil {
		tb.Fatalf("job %d: %v", job.Number, err)
	}
	return job.Number
}

// end ends a job.
func (p *process) end(number uint64) {
	p.l.change(number, func(j *ledgerJob) { j.done = true })
	p.Done(p.ref(number))
}

// update records that a job was lost, or has another priority.
func (p *process) update(number uint64, retries uint16, priority store.Priority) {
	p.l.change(number, func(j *ledgerJob) { j.updates = append(j.updates, update{retries, priority}) })
	p.Update(p.ref(number), retries, priority)
}

func (p *process) ref(number uint64) store.Ref {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refs[number]
}

// argument reads a large argument.
func (p *process) argument(ref store.Ref, w io.Writer) error {
	done := make(chan error, 1)
	p.Argument(ref, w, func(err error) { done <- err })
	return <-done
}

// small returns a job with a unique argument of a few bytes.
func small(n int) *store.Job {
	return &store.Job{
		Function: fmt.Sprint("f", n%3), Unique: fmt.Sprint("u", n), Priority: store.Priority(n % 3),
		Argument: [][]byte{fmt.Appendf(nil, "argument of %d", n)},
	}
}

// sized returns a job with an argument of size bytes, in two pieces, and a unique id that no small one has.
func sized(n, size int) *store.Job {
	job := small(n)
	job.Unique += " sized"
	job.Argument = [][]byte{bytes.Repeat([]byte{byte(n)}, size/2), bytes.Repeat([]byte{'x'}, size-size/2)}
	return job
}
