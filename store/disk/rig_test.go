package disk

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
	"gearloop/test/await"
)

// patience is how long a test waits for anything.
var patience = await.Limit

// receipts collects the receipts of jobs.
type receipts struct {
	mu    sync.Mutex
	cond  *sync.Cond
	order []uint64
	errs  map[uint64]error
}

func newReceipts() *receipts {
	r := &receipts{errs: map[uint64]error{}}
	r.cond = sync.NewCond(&r.mu)
	return r
}

type receipt struct {
	of     *receipts
	number uint64
}

func (r receipt) Stored(_ store.Ref, err error) {
	r.of.mu.Lock()
	defer r.of.mu.Unlock()
	if _, twice := r.of.errs[r.number]; twice {
		panic(fmt.Sprintf("two receipts for job %d", r.number))
	}
	r.of.order = append(r.of.order, r.number)
	r.of.errs[r.number] = err
	r.of.cond.Broadcast()
}

// wait waits for the receipt of a job and returns it.
func (r *receipts) wait(t testing.TB, number uint64) error {
	t.Helper()
	timer := time.AfterFunc(patience, r.cond.Broadcast)
	defer timer.Stop()
	start := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		if err, ok := r.errs[number]; ok {
			return err
		}
		if time.Since(start) > patience {
			t.Fatalf("no receipt for job %d", number)
		}
		r.cond.Wait()
	}
}

const (
	testDir   = "/store"
	testLarge = 8 << 10 // size from which on an argument is large
)

// quick returns options with which everything happens soon and segments are small.
func quick(fs vfs.FS) Options {
	return Options{
		Dir: testDir, fs: fs, segmentSize: 4 << 10, large: testLarge, probe: 4 << 10, retryEvery: time.Millisecond, lazyFor: time.Millisecond,
		faultEvery: time.Millisecond,
	}
}

func open(t testing.TB, opts Options) *Disk {
	t.Helper()
	d, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func closeStore(t testing.TB, d *Disk) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// load opens a directory's jobs as the broker does.
func load(t testing.TB, d *Disk) []store.Job {
	t.Helper()
	jobs, err := loadAll(d)
	if err != nil {
		t.Fatal(err)
	}
	return jobs
}

func loadAll(d *Disk) (jobs []store.Job, err error) {
	c := &collector{}
	err = d.Start(c)
	return c.jobs, err
}

// collector collects adopted jobs.
type collector struct {
	store.NoEvents
	jobs []store.Job
}

func (c *collector) Adopt(jobs []store.Job) bool {
	for _, job := range jobs {
		job.Argument = slices.Clone(job.Argument)
		c.jobs = append(c.jobs, job)
	}
	return true
}

func numbers(jobs []store.Job) []uint64 {
	n := []uint64{}
	for _, job := range jobs {
		n = append(n, job.Number)
	}
	return n
}

// small returns a job with an argument of a few bytes that identifies it.
func small(number uint64) *store.Job {
	return &store.Job{
		Number: number, Function: "resize", Unique: fmt.Sprint("u", number), Priority: store.Priority(number % 3),
		Argument: [][]byte{fmt.Appendf(nil, "argument of %d", number)},
	}
}

// put appends a job and waits for its receipt.
func put(t testing.TB, d *Disk, r *receipts, job *store.Job) store.Ref {
	t.Helper()
	ref, err := d.Append(job, receipt{r, job.Number})
	if err != nil {
		t.Fatal(err)
	}
	d.Hurry()
	if err := r.wait(t, job.Number); err != nil {
		t.Fatal(err)
	}
	return ref
}

// flushed waits until everything is written.
func flushed(t testing.TB, d *Disk) {
	t.Helper()
	await.Until(t, "everything is written", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.next.jobs)+d.next.lazy() == 0 && d.writing == 0
	})
}
