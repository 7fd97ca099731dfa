package sched

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"gearloop/internal/payload"
	"gearloop/store"
)

var errDisk = errors.New("the disk fails")

// entry is a job in a fakeStore.
type entry struct {
	job     store.Job
	whole   string   // the argument, as it was at Append
	pieces  [][]byte // of a large argument, until the receipt
	receipt store.Receipt
	state   entryState
	done    bool
	lost    bool // its argument could not be read: it remains for the next start
	gone    bool // another broker has it
	retries uint16
}

type entryState uint8

const (
	entryPending entryState = iota
	entryAcked
	entryRefused // the receipt had an error
)

// fakeStore is a store in memory whose receipts and events come when a test wants them.
type fakeStore struct {
	run     uint64                   // that was opened last
	owned   map[uint64]bool          // runs that were opened and not disowned
	entries []*entry                 // by Ref, which begins with 1
	loaded  []*entry                 // adopted at the start
	waiting []*entry                 // receipts to come, in order
	refuse  error                    // result of Append; nil: it accepts jobs
	failed  error                    // Stats.Failed
	wrong   []string                 // violations of the contract by the user
	numbers map[uint64]store.Receipt // of all jobs ever, over crashes
	renewed int                      // calls of NewRun
	gathers bool                     // jobs were appended, and Hurry was not called

	events  store.Events
	foreign map[uint64]func(store.Status) // what Lookup was asked; nil: nobody shares the store
}

func newFakeStore() *fakeStore { return &fakeStore{run: 1, numbers: map[uint64]store.Receipt{}} }

func (f *fakeStore) at(ref store.Ref) *entry {
	if ref == 0 || int(ref) > len(f.entries) {
		f.wrong = append(f.wrong, "a Ref that was never given")
		return &entry{}
	}
	return f.entries[ref-1]
}

func (f *fakeStore) add(e *entry) store.Ref {
	f.entries = append(f.entries, e)
	return store.Ref(len(f.entries))
}

// Start reports what an engine with a single user reports.
func (f *fakeStore) Start(events store.Events) error {
	f.events, f.owned = events, map[uint64]bool{f.run: true}
	events.Opened(f.run)
	f.adopt(f.loaded...)
	events.Lease(store.Never)
	events.Flushed()
	return nil
}

// adopt passes jobs stored earlier, and reports whether there is room for more.
func (f *fakeStore) adopt(entries ...*entry) (room bool) {
	for chunk := range slices.Chunk(entries, 3) {
		var jobs []store.Job
		for _, e := range chunk {
			e.state = entryAcked
			job := e.job
			job.Ref, job.Size, job.Retries = f.add(e), len(e.whole), e.retries
			if job.Argument = nil; job.Size > 0 && job.Size < store.LargeArgument {
				job.Argument = [][]byte{[]byte(e.whole)}
			}
			jobs = append(jobs, job)
		}
		room = f.events.Adopt(jobs)
	}
	return room
}

// disown gives all stored jobs to another broker, after the remaining receipts.
func (f *fakeStore) disown() {
	clear(f.owned)
	for len(f.waiting) > 0 {
		f.answer(store.ErrFailed)
	}
	for _, e := range f.entries {
		e.gone = true
	}
	f.events.Disowned()
	f.events.Flushed()
}

// open opens another run.
func (f *fakeStore) open(run uint64) {
	if f.owned == nil {
		f.owned = map[uint64]bool{}
	}
	f.run, f.owned[run] = run, true
	f.events.Opened(run)
	f.events.Flushed()
}

func (f *fakeStore) NewRun() { f.renewed++ }
func (f *fakeStore) Hurry()  { f.gathers = false }

func (f *fakeStore) Lookup(number uint64, answer func(store.Status)) bool {
	if f.foreign == nil {
		return false
	}
	f.foreign[number] = answer
	return true
}

func (f *fakeStore) Append(job *store.Job, receipt store.Receipt) (store.Ref, error) {
	switch {
	case f.refuse != nil:
		return 0, f.refuse
	case !f.owned[store.RunOf(job.Number)]:
		return 0, store.ErrFailed // of no run, or of one that is another broker's
	}
	e := &entry{job: *job, whole: string(bytes.Join(job.Argument, nil)), receipt: receipt, retries: job.Retries}
	e.job.Argument = nil
	e.job.Function, e.job.Unique, e.job.Reducer = strings.Clone(job.Function), strings.Clone(job.Unique), strings.Clone(job.Reducer)
	if len(e.whole) >= store.LargeArgument {
		e.pieces = job.Argument
	}
	if r := f.numbers[job.Number]; r != nil && r != receipt {
		f.wrong = append(f.wrong, "a number is used again")
	}
	f.numbers[job.Number] = receipt
	f.waiting = append(f.waiting, e)
	f.gathers = true
	return f.add(e), nil
}

func (f *fakeStore) Update(ref store.Ref, retries uint16, priority store.Priority) {
	if e := f.at(ref); !e.done {
		e.retries, e.job.Priority = retries, priority
	}
}

func (f *fakeStore) Done(ref store.Ref) {
	e := f.at(ref)
	if e.done || e.gone {
		f.wrong = append(f.wrong, "a job is done twice, or is another's")
	}
	e.done = true
}

func (f *fakeStore) Argument(ref store.Ref, w io.Writer, done func(error)) {
	e := f.at(ref)
	switch {
	case e.done, e.gone:
		done(store.ErrGone)
	case e.state != entryAcked:
		f.wrong = append(f.wrong, "an argument is asked for before the receipt")
		done(store.ErrGone)
	default:
		_, err := io.WriteString(w, e.whole)
		done(err)
	}
}

func (f *fakeStore) Stats() store.Stats { return store.Stats{Failed: f.failed} }
func (f *fakeStore) Close() error       { return nil }

// answer calls the next receipt, with an error or without.
func (f *fakeStore) answer(err error) {
	e := f.waiting[0]
	f.waiting = f.waiting[1:]
	if e.pieces != nil && string(bytes.Join(e.pieces, nil)) != e.whole {
		f.wrong = append(f.wrong, "an argument changed while it was written")
	}
	e.pieces = nil
	ref := store.Ref(1)
	for f.entries[ref-1] != e {
		ref++
	}
	e.state = entryAcked
	if err != nil {
		e.state = entryRefused
	}
	if bulk, ok := f.events.(store.BulkReceipts); ok && err == nil {
		bulk.StoredAll([]store.Receipt{e.receipt})
		return
	}
	e.receipt.Stored(ref, err)
}

// crash returns what a start after a crash finds: all acknowledged jobs that have not ended, a random part of
// the others without gaps, and a random number of the last ends are lost.
func (f *fakeStore) crash(rng *rand.Rand) *fakeStore {
	after := &fakeStore{run: f.run + 1, numbers: f.numbers}
	unsynced := rng.IntN(len(f.waiting) + 1)
	for _, e := range f.entries {
		keep := e.state == entryAcked
		if e.state == entryPending {
			keep = unsynced > 0
			unsynced--
		}
		if keep && !e.gone && (!e.done || rng.IntN(8) == 0) {
			after.loaded = append(after.loaded, &entry{job: e.job, whole: e.whole, state: entryAcked, retries: e.retries})
		}
	}
	return after
}

// living returns the jobs that the store has and that have not ended.
func (f *fakeStore) living() (found []*entry) {
	for _, e := range f.entries {
		if !e.done && !e.lost && !e.gone && e.state != entryRefused {
			found = append(found, e)
		}
	}
	return found
}

// checkStore compares the scheduler's view of what is stored with the store.
func (s *Sched) checkStore(fake *fakeStore, f *faults) {
	known := map[*entry]bool{}
	answered := map[*job]bool{} // the scheduler has not handled the answer yet
	r := &s.received
	for _, list := range [][]receipt{r.receipts, r.public.receipts, r.taken.receipts[r.next:]} {
		for _, t := range list {
			answered[t.job] = true
		}
	}
	for i := range s.shards {
		sh := &s.shards[i]
		for j := range sh.jobs.all() {
			if j.keeping == notKept {
				f.unless(j.state != storing && j.state != shelved, "job %d: waits for a store that does not have it", j.number)
				continue
			}
			e := fake.at(j.ref)
			pending := e.state == entryPending || answered[j]
			if j.keeping == letGone {
				f.unless(e.done && pending && j.state == abandoned, "job %d: let go of and not", j.number)
				continue
			}
			known[e] = true
			f.unless(!e.done, "job %d: the store was told that it has ended", j.number)
			f.unless((j.keeping == beingKept) == pending, "job %d: keeping is %d, the entry %d", j.number, j.keeping, e.state)
			f.unless(e.job.Number == j.number || e.receipt == nil, "job %d: stored as %d", j.number, e.job.Number)
			f.unless(j.background, "job %d: stored, though no background submission wants it", j.number)
		}
	}
	for _, e := range fake.living() {
		f.unless(known[e], "job %d: stored, and unknown", e.job.Number)
	}
	f.unless(!fake.gathers, "the store has jobs, and Hurry did not follow")
	for _, w := range fake.wrong {
		f.addf("%s", w)
	}
}

// attach makes the rig's scheduler use a store, and adopts its jobs.
func (r *rig) attach(fake *fakeStore) {
	r.Helper()
	r.store = fake
	r.s.Keep(fake)
	if err := fake.Start((*rigEvents)(r)); err != nil {
		r.Fatal(err)
	}
}

// rigEvents passes on what a store tells.
type rigEvents rig

func (e *rigEvents) Opened(run uint64) { e.s.Opened(run) }

func (e *rigEvents) StoredAll(receipts []store.Receipt) { e.s.StoredAll(receipts) }

func (e *rigEvents) Lease(until time.Time) {
	e.act(func(fx *Effects) { e.s.Lease(until, e.now, fx) })
}

func (e *rigEvents) Adopt(jobs []store.Job) (room bool) {
	e.act(func(fx *Effects) { room = e.s.Adopt(jobs, e.now, fx) })
	return room
}

func (e *rigEvents) Disowned() { e.act(func(fx *Effects) { e.s.Disowned(e.now, fx) }) }
func (e *rigEvents) Flushed()  { e.act(func(fx *Effects) { e.s.Settle(e.now, fx) }) }

func (e *rigEvents) act(f func(*Effects)) {
	r := (*rig)(e)
	var fx Effects
	f(&fx)
	r.carry(&fx)
}

// receive makes the store acknowledge or refuse n jobs; <0 means all.
func (r *rig) receive(n int, err error) {
	r.Helper()
	for ; n != 0 && len(r.store.waiting) > 0; n-- {
		r.store.answer(err)
	}
	var fx Effects
	r.s.Settle(r.now, &fx)
	r.carry(&fx)
}

// fetch reads the oldest argument that a worker waits for.
func (r *rig) fetch(fault error) {
	r.Helper()
	f := r.fetches[0]
	r.fetches = r.fetches[1:]
	p := payload.New(f.Size)
	err := fault
	if fault == nil {
		r.s.Read(&f, payloadWriter{p}, func(e error) { err = e })
	}
	if j := f.job; err != nil && j.state == running && j.worker == f.To && j.rest().ticket == f.ticket && j.keeping == kept {
		r.store.at(j.ref).lost = true
	}
	var fx Effects
	r.s.Fetched(&f, payload.Of(p), err, r.now, &fx)
	r.carry(&fx)
}

type payloadWriter struct{ p *payload.Payload }

func (w payloadWriter) Write(b []byte) (int, error) { return w.p.Fill(b), nil }
