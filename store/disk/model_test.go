package disk

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"gearloop/store"
	"gearloop/test/sample"
)

// A store is used at random, loses power, is killed, has faults of the disk, and is opened again. A model
// says what must be in it. Nothing runs concurrently: the test makes the committer's turns, so a seed
// reproduces a failure (go test -run TestModel -rapid.seed=N).
func TestModel(t *testing.T) {
	if n := max(cycles(t), sample.Of(0, 20)); n > 0 {
		if err := flag.Set("rapid.checks", strconv.Itoa(n)); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, runModel)
}

func runModel(t *rapid.T) {
	m := &model{t: t, fs: vfs.NewCrashableMem(), jobs: map[uint64]*modelJob{}, next: 1}
	m.mode = rapid.SampledFrom([]SyncMode{SyncAlways, SyncAlways, SyncInterval, SyncNone}).Draw(t, "mode")
	m.durable = rapid.Bool().Draw(t, "durable")
	m.open()
	t.Repeat(map[string]func(*rapid.T){
		"append": m.append, "append large": m.appendLarge, "done": m.done, "retry": m.retry, "many": m.many, "burst": m.burst,
		"turn": func(*rapid.T) { m.turn() }, "settle": func(*rapid.T) { m.commitAll() },
		"restart": m.restart, "crash": m.crash, "crash within": m.crashWithin, "fault": m.fault,
		"": func(*rapid.T) { m.checkBooks() },
	})
	m.finish()
}

// model says what must and may be in a store.
type model struct {
	t       *rapid.T
	mode    SyncMode
	durable bool // the file system has durable files
	fs      *vfs.MemFS
	hooks   *hookFS
	d       *Disk
	next    uint64
	jobs    map[uint64]*modelJob // that may be there
	dead    bool                 // the process is; receipts that arrive later belong to nobody

	generation uint64
	calls      int   // to the file system
	failAt     int   // the call that fails, 0 = none
	failWith   error // errCrash: a crash before it
	left       *vfs.MemFS
	power      bool // a crash destroys what is not synced
}

type modelJob struct {
	job     store.Job
	ref     store.Ref
	durable bool // must be there after a loss of power
	acked   bool // must be there after the process was killed
	ended   bool // must not be there after an orderly end; nor must one that is refused
	refused bool
	settled bool // Done and Update may be called
}

var errCrash = errors.New("crash")

// modelReceipt is the receipt of a job of one run of the store.
type modelReceipt struct {
	m *model
	d *Disk
	j *modelJob
}

func (r modelReceipt) Stored(ref store.Ref, err error) {
	switch {
	case r.m.dead || r.m.d != r.d:
	case r.j.acked || r.j.refused:
		r.m.t.Fatalf("two receipts for job %d", r.j.job.Number)
	case ref != r.j.ref:
		r.m.t.Fatalf("job %d has ref %d, its receipt %d", r.j.job.Number, r.j.ref, ref)
	case err != nil:
		r.j.refused = true
	default:
		r.j.acked, r.j.durable = true, r.m.mode == SyncAlways
	}
}

func (m *model) before(_, _ string) error {
	if m.dead {
		return errCrash
	}
	m.calls++
	if m.failAt == 0 || m.calls != m.failAt {
		return nil
	}
	if m.failWith == errCrash {
		m.cut()
	}
	return m.failWith
}

// shuffle returns a random order of n parts.
func (m *model) shuffle(n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	return rapid.Permutation(order).Draw(m.t, "order")
}

// cut keeps what a crash leaves.
func (m *model) cut() {
	m.left = m.fs // the system continues, with what it has not written yet
	if m.power {
		m.left = m.fs.CrashClone(vfs.CrashCloneCfg{})
	}
	m.dead = true
}

// open opens the store and compares it with the model. It does so again if a crash or fault intervenes.
func (m *model) open() {
	for try := 0; ; try++ {
		m.dead = false
		m.hooks = &hookFS{FS: m.fs, before: m.before}
		if m.durable {
			m.hooks.shuffle = m.shuffle
		}
		opts := quick(m.hooks)
		opts.manual, opts.Sync, opts.Interval, opts.segmentSize = true, m.mode, 1, 600
		opts.lazyFor, opts.retryEvery, opts.faultEvery = 1, 1, 1
		d, err := Open(opts)
		if err == nil {
			m.d = d
			if err = m.compare(); err == nil {
				return
			}
			m.abandon()
		}
		switch {
		case m.dead:
			m.fs = m.left
			m.lose()
			m.threaten()
			continue
		case m.failAt == 0 || m.calls < m.failAt || try > 3:
			m.t.Fatalf("open: %v", err)
		}
		m.failAt = 0
	}
}

// compare loads the jobs. What it finds is what exists from now on.
func (m *model) compare() error {
	if m.d.Run() <= m.generation {
		m.t.Fatalf("run %d after %d", m.d.Run(), m.generation)
	}
	m.generation = m.d.Run()
	found := map[uint64]*modelJob{}
	last := uint64(0)
	jobs, err := loadAll(m.d)
	if err != nil {
		return err
	}
	for i := range jobs {
		job := &jobs[i]
		if job.Number <= last {
			m.t.Fatalf("job %d comes after %d", job.Number, last)
		}
		last = job.Number
		j := m.jobs[job.Number]
		if j == nil {
			m.t.Fatalf("job %d was gone for good, or never there", job.Number)
		}
		if err := same(m.d, job, &j.job); err != nil {
			if m.failAt != 0 && m.calls >= m.failAt {
				return err
			}
			m.t.Fatal(err)
		}
		found[job.Number] = &modelJob{job: j.job, ref: job.Ref, durable: true, acked: true, settled: true}
	}
	for number, j := range m.jobs {
		if found[number] == nil && j.acked && !j.ended {
			m.t.Fatalf("job %d is gone", number)
		}
	}
	m.jobs = found
	return nil
}

// lose removes from the model what a crash may lose: nothing if only the process died.
func (m *model) lose() {
	for _, j := range m.jobs {
		j.acked = j.acked && (j.durable || !m.power)
	}
}

// abandon drops a store whose process has died.
func (m *model) abandon() {
	m.d.closeOut()
	m.d.c.cleaner.close()
	_ = m.d.dir.Close()
	m.d = nil
}

func (m *model) append(t *rapid.T) { m.submit(rapid.IntRange(0, 300).Draw(t, "size")) }

func (m *model) appendLarge(t *rapid.T) {
	m.submit(testLarge + rapid.IntRange(0, 1).Draw(t, "more"))
}

func (m *model) submit(size int) {
	number := m.next
	m.next++
	job := *small(number)
	job.Argument = [][]byte{bytes.Repeat([]byte{byte(number)}, size)}
	j := &modelJob{job: job}
	ref, err := m.d.Append(&job, modelReceipt{m, m.d, j})
	if err != nil {
		if !errors.Is(err, store.ErrFailed) {
			m.t.Fatal(err)
		}
		return
	}
	j.ref, j.settled = ref, true
	m.jobs[number] = j
}

// some draws one of the jobs for which the broker has a ref.
func (m *model) some(t *rapid.T) *modelJob {
	numbers := slices.Sorted(maps.Keys(m.jobs))
	numbers = slices.DeleteFunc(numbers, func(n uint64) bool { return !m.jobs[n].settled })
	if len(numbers) == 0 {
		return &modelJob{}
	}
	// Often the oldest, because jobs usually end in order.
	at := min(rapid.IntRange(0, 2*len(numbers)).Draw(t, "which"), len(numbers)-1)
	return m.jobs[numbers[len(numbers)-1-at]]
}

func (m *model) done(t *rapid.T) {
	j := m.some(t)
	j.ended = true
	m.d.Done(j.ref)
}

// many adds and ends jobs until something must be cleaned.
func (m *model) many(t *rapid.T) {
	for range rapid.IntRange(10, 40).Draw(t, "jobs") {
		m.submit(40)
		m.turn()
		if len(m.jobs) > 10 {
			m.done(t)
		}
	}
}

// burst adds so many jobs at once that rescuing them takes several writes when a segment is begun.
func (m *model) burst(*rapid.T) {
	for range 40 {
		m.submit(1000)
	}
	m.turn()
}

func (m *model) retry(t *rapid.T) {
	j := m.some(t)
	m.d.Update(j.ref, uint16(rapid.IntRange(0, 9).Draw(t, "retries")), j.job.Priority)
}

// turn makes one turn of the committer.
func (m *model) turn() {
	if _, _, ended := m.d.turn(); ended {
		m.t.Fatal("it has ended")
	}
	if m.dead {
		m.revive()
	}
}

// commitAll makes the committer do all its work.
func (m *model) commitAll() {
	d := m.d
	for n := 0; ; n++ {
		_, again, _ := d.turn()
		if m.dead {
			m.revive()
			return
		}
		d.mu.Lock()
		idle := len(d.next.jobs)+d.next.lazy() == 0 && d.failed == nil
		d.mu.Unlock()
		if idle && !again {
			return
		}
		if n > 10_000 {
			m.t.Fatal("it never comes to rest")
		}
	}
}

func (m *model) revive() {
	m.abandon()
	m.fs = m.left
	m.lose()
	m.threaten()
	m.open()
}

// threaten may make the opening of the store crash, too.
func (m *model) threaten() {
	m.failAt, m.failWith = 0, errCrash
	if call := rapid.IntRange(-20, 60).Draw(m.t, "crash in start"); call > 0 {
		m.power = rapid.Bool().Draw(m.t, "power")
		m.failAt = m.calls + call
	}
}

// restart closes the store in order and opens it.
func (m *model) restart(*rapid.T) {
	m.commitAll()
	m.d.closed = true
	for ended := false; !ended; {
		_, _, ended = m.d.turn()
	}
	if m.dead {
		m.revive()
		return
	}
	if err := m.d.dir.Close(); err != nil {
		m.t.Fatal(err)
	}
	if m.d.ended == nil {
		maps.DeleteFunc(m.jobs, func(_ uint64, j *modelJob) bool { return j.ended || j.refused })
	}
	m.open()
}

func (m *model) crash(t *rapid.T) {
	m.power = rapid.Bool().Draw(t, "power")
	m.cut()
	m.revive()
}

// crashWithin makes one of the next calls to the file system crash.
func (m *model) crashWithin(t *rapid.T) {
	m.power = rapid.Bool().Draw(t, "power")
	m.failAt, m.failWith = m.calls+rapid.IntRange(1, 30).Draw(t, "call"), errCrash
}

// fault makes one of the next calls fail.
func (m *model) fault(t *rapid.T) {
	m.failAt = m.calls + rapid.IntRange(1, 20).Draw(t, "call")
	m.failWith = rapid.SampledFrom([]error{errNoSpace, errIO, errShort}).Draw(t, "error")
}

// checkBooks compares the store's counts with its content.
func (m *model) checkBooks() {
	d := m.d
	d.mu.Lock()
	defer d.mu.Unlock()
	live, taken, perSegment := int64(0), 0, map[uint32]int{}
	for i := uint32(1); i <= d.jobs.used; i++ {
		s := d.jobs.at(i)
		if s.state != slotFree {
			taken++
			live += int64(s.size)
			perSegment[s.segment]++
		}
	}
	if live != d.live || taken != d.jobs.taken {
		m.t.Fatalf("%d live bytes, counted %d; %d jobs, counted %d", live, d.live, taken, d.jobs.taken)
	}
	for _, s := range d.segments {
		if s.live != perSegment[uint32(s.id)] {
			m.t.Fatalf("%s has %d jobs, counted %d", segmentName(s.id), perSegment[uint32(s.id)], s.live)
		}
		delete(perSegment, uint32(s.id))
	}
	if len(perSegment) > 0 {
		m.t.Fatal("jobs in segments that are gone:", fmt.Sprint(perSegment))
	}
}

// finish ends the run in order and examines the store a last time.
func (m *model) finish() {
	m.failAt = 0
	m.restart(m.t)
	m.restart(m.t)
	m.checkBooks()
	m.d.closeOut()
}
