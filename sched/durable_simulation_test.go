package sched

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
	"gearloop/store"
	"gearloop/test/sample"
)

// TestDurableSimulation runs clients and workers on a scheduler whose store answers at random times, refuses
// at random, and forgets in a crash what it had not acknowledged. Crashes come at any moment, several times a
// run. A seed determines a run; replay it with
//
//	go test ./sched -run TestDurableSimulation -sim.seed=N
func TestDurableSimulation(t *testing.T) {
	before, _ := payload.InUse()
	from, to := uint64(1), uint64(max(*simRuns, sample.Of(80, 16)))
	if *simSeed > 0 {
		from, to = *simSeed, *simSeed
	}
	for seed := from; seed <= to && !t.Failed(); seed++ {
		d := &durableSim{TB: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 5)), ledger: map[string]*promised{}, trace: *simSeed > 0}
		d.run()
	}
	if after, _ := payload.InUse(); after != before {
		t.Errorf("%d payloads were not released", after-before)
	}
}

// durableSim is one run: a sequence of schedulers, each of which crashes.
type durableSim struct {
	testing.TB
	*rig
	seed   uint64
	rng    *rand.Rand
	ledger map[string]*promised // by handle
	given  map[string]bool      // handles of foreground jobs
	trace  bool
	cfg    Config

	background, foreground, workers []*Peer
	away                            []*entry           // jobs that another broker owns and has not done
	asked                           map[*Peer][]string // unique ids of background submissions, in order
	has                             map[*Peer][]string // handles of the jobs of a worker
	uniques                         int
}

// promised is a background job that was acknowledged.
type promised struct {
	ended bool // or may have
	away  bool // another broker owns it
}

// Fatalf says which run it was.
func (d *durableSim) Fatalf(format string, a ...any) {
	d.Helper()
	d.TB.Fatalf("seed %d: %s", d.seed, fmt.Sprintf(format, a...))
}

func (d *durableSim) say(format string, a ...any) {
	if d.trace {
		fmt.Fprintf(os.Stderr, format+"\n", a...)
	}
}

func (d *durableSim) run() {
	d.cfg = Config{
		Dialect: pick(d.rng, dialect.Perl, dialect.C), HandlePrefix: "H:d", Wakeup: 3, WakeupDelay: time.Second,
		JobRetries: pick(d.rng, 0, 0, 2), MaxMemory: pick[int64](d.rng, 0, 0, 1<<20, 32<<10),
	}
	d.given = map[string]bool{}
	fake := newFakeStore()
	for range 1 + d.rng.IntN(4) {
		d.begin(fake)
		for range d.rng.IntN(60) {
			d.step()
		}
		d.release()
		fake = d.store.crash(d.rng)
		fake.run = max(fake.run, d.store.run+1)
		d.say("crash")
	}
	d.begin(fake)
	d.drain()
}

// begin starts a scheduler with the store's jobs: everything promised must be there.
func (d *durableSim) begin(fake *fakeStore) {
	now := start
	if d.rig != nil {
		now = d.now.Add(time.Duration(d.rng.IntN(20)) * time.Second)
	}
	d.rig = newRig(d, d.cfg)
	d.now = now
	d.attach(fake)
	d.background, d.foreground, d.workers = nil, nil, nil
	d.asked, d.has = map[*Peer][]string{}, map[*Peer][]string{}
	for range 2 {
		d.background = append(d.background, d.connect())
		d.foreground = append(d.foreground, d.connect())
		d.workers = append(d.workers, d.rig.worker("f", "g"))
	}
	p := d.connect()
	for h, j := range d.ledger {
		if j.ended || j.away {
			continue
		}
		d.do(p, codec.GetStatus, h)
		if answer := d.got[p][len(d.got[p])-1]; strings.Split(answer, "|")[1] != "1" {
			d.Fatalf("%s was promised to be done and is unknown after a crash: %s", h, answer)
		}
	}
	d.leave(p)
}

// release frees the memory of a crashed scheduler.
func (d *durableSim) release() {
	for i := range d.s.shards {
		for j := range d.s.shards[i].jobs.all() {
			j.argument().Release()
		}
	}
	for _, e := range d.store.entries {
		if o, ok := e.receipt.(*receiptOf); ok && o.extra != nil {
			o.extra.writing.Release()
			o.extra.writing = payload.View{} // it may have been appended twice
		}
	}
}

var largeArgument = strings.Repeat("L", store.LargeArgument)

// step does one random thing.
func (d *durableSim) step() {
	rng := d.rng
	switch n := rng.IntN(100); {
	case n < 27:
		d.submitBackground()
	case n < 30:
		d.operate()
	case n < 38:
		p := pick(rng, d.foreground...)
		d.do(p, pick(rng, codec.SubmitJob, codec.SubmitJobHigh, codec.SubmitJobLow), pick(rng, "f", "g"), d.unique(), "x")
		for _, text := range d.got[p] {
			if name, ok := strings.CutPrefix(text, "JOB_CREATED "); ok {
				d.given[d.handle(name)] = true
			}
		}
		d.got[p] = nil
	case n < 60 && len(d.store.waiting) > 0:
		err := pick(rng, nil, nil, nil, errDisk)
		d.say("receive %v", err)
		if rng.IntN(2) == 0 {
			d.receive(1+rng.IntN(3), err)
			break
		}
		for n := 1 + rng.IntN(3); n > 0 && len(d.store.waiting) > 0; n-- {
			d.store.answer(err)
		}
		d.s.Gather()
		d.settle(rng.IntN(3))
	case n < 72:
		w := pick(rng, d.workers...)
		d.do(w, pick(rng, codec.GrabJob, codec.GrabJobUniq, codec.GrabJobAll, codec.PreSleep))
	case n < 82:
		w := pick(rng, d.workers...)
		if len(d.has[w]) > 0 {
			h := d.has[w][0]
			d.has[w] = d.has[w][1:]
			d.ends(h)
			d.say("%s ends", h)
			d.do(w, pick(rng, codec.WorkComplete, codec.WorkFail), h, "")
		}
	case n < 86 && len(d.fetches) > 0:
		// After an error it stays in the store, but is unknown until the next start.
		d.fetch(pick(rng, nil, nil, errDisk))
	case n < 89:
		d.change(&d.workers, func() *Peer { return d.rig.worker("f", "g") })
	case n < 91:
		d.change(&d.foreground, d.connect)
	case n < 93:
		d.change(&d.background, d.connect)
	case n < 94 && d.s.received.waiting.Load():
		d.settle(1 + rng.IntN(3))
	case n < 94:
		if given := slices.Sorted(maps.Keys(d.given)); len(given) > 0 {
			h := pick(rng, given...)
			delete(d.given, h)
			d.cancel(h)
		}
	case n < 95:
		d.store.refuse = pick(rng, nil, nil, store.ErrFailed)
	case n < 96:
		d.speak()
	case n < 97:
		w := pick(rng, d.workers...)
		d.do(w, codec.CanDoTimeout, "f", "1")
	case n < 98:
		w := pick(rng, d.workers...)
		d.loses(w)
		d.do(w, codec.CantDo, "g")
		d.do(w, codec.CanDo, "g")
	default:
		for _, w := range d.workers { // whose jobs may run out of time
			for _, h := range d.has[w] {
				d.ends(h)
			}
		}
		for i := range d.s.shards {
			for j := range d.s.shards[i].jobs.all() {
				if j.state == running {
					d.ends(string(d.s.AppendHandle(nil, j.number)))
				}
			}
		}
		d.until(d.now.Add(time.Duration(rng.IntN(3)) * time.Second))
	}
	d.listen()
}

// settle handles some of the answers that the store gave.
func (d *durableSim) settle(most int) {
	var fx Effects
	d.say("settle %d: %v", most, d.s.SettleSome(most, d.now, &fx))
	d.carry(&fx)
}

func (d *durableSim) unique() string {
	if d.rng.IntN(3) > 0 {
		return "u" + strconv.Itoa(d.rng.IntN(4))
	}
	d.uniques++
	return "n" + strconv.Itoa(d.uniques)
}

func (d *durableSim) submitBackground() {
	p, f, unique := pick(d.rng, d.background...), pick(d.rng, "f", "g"), d.unique()
	argument := pick(d.rng, "x", "x", "x", "x", "", "y", largeArgument)
	d.asked[p] = append(d.asked[p], f+" "+unique)
	d.say("fd %d submits %s %s", p.FD, f, unique)
	if d.rng.IntN(4) == 0 {
		due := strconv.FormatInt(d.now.Unix()+int64(d.rng.IntN(5))-1, 10)
		d.sends(p, codec.SubmitJobEpoch, strings.Join([]string{f, unique, due, argument}, "\x00"), true)
		return
	}
	d.sends(p, pick(d.rng, codec.SubmitJobBg, codec.SubmitJobHighBg, codec.SubmitJobLowBg), strings.Join([]string{f, unique, argument}, "\x00"), true)
}

// ends records that a job has ended, or may have.
func (d *durableSim) ends(handle string) {
	if j := d.ledger[handle]; j != nil {
		j.ended = true
	} else {
		d.ledger[handle] = &promised{ended: true}
	}
}

func (d *durableSim) cancel(h string) {
	d.say("cancel %s", h)
	var fx Effects
	if d.s.Cancel(h, d.now, &fx) {
		d.ends(h)
	}
	d.carry(&fx)
}

// operate applies a random act to a job or, in a walk, to all jobs of a function: it loses only jobs that the
// act ends.
func (d *durableSim) operate() {
	act := Act(d.rng.IntN(acts))
	var fx Effects
	if d.rng.IntN(8) == 0 {
		walk := d.s.Bulk(act, Meant{Function: pick(d.rng, "f", "g"), Whole: func(j *JobDetail) bool {
			if act == CancelJob || act == GiveUpJob {
				d.ends(string(d.s.AppendHandle(nil, j.Number)))
			}
			return true
		}})
		d.say("%v %+v", act, walk.meant.Function)
		for more := true; more; {
			more = walk.Next(d.now, &fx)
			d.carry(&fx)
		}
		return
	}
	jobs := d.s.Jobs()
	if len(jobs) == 0 {
		return
	}
	slices.SortFunc(jobs, func(a, b JobInfo) int { return cmp.Compare(a.Number, b.Number) })
	h := string(d.s.AppendHandle(nil, pick(d.rng, jobs...).Number))
	d.say("%v %s", act, h)
	changed, _ := d.s.Do(act, h, d.now, &fx)
	if changed && (act == CancelJob || act == GiveUpJob) {
		d.ends(h)
	}
	d.carry(&fx)
}

// speak makes the store report a random event.
func (d *durableSim) speak() {
	switch d.rng.IntN(5) {
	case 0:
		d.say("the lease is over")
		d.store.events.Lease(d.now)
	case 1:
		d.say("the lease is renewed")
		d.store.events.Lease(d.now.Add(time.Duration(d.rng.IntN(5)) * time.Second))
	case 2:
		d.disown()
	case 3:
		d.say("another run")
		d.store.open(d.store.run + 1)
	default:
		n := d.rng.IntN(len(d.away) + 1)
		d.say("%d jobs come back", n)
		d.comeBack(n)
	}
}

// disown gives all jobs to another broker, which does none of them.
func (d *durableSim) disown() {
	d.receive(0, nil)
	d.say("disowned")
	for _, e := range d.store.entries {
		if e.state != entryAcked || e.done || e.gone {
			continue
		}
		d.away = append(d.away, &entry{job: e.job, whole: e.whole, retries: e.retries})
		if j := d.ledger[string(d.s.AppendHandle(nil, e.job.Number))]; j != nil {
			j.away = true
		}
	}
	d.store.disown()
	for _, w := range d.workers { // what they have goes on, and may end here as well
		for _, h := range d.has[w] {
			d.ends(h)
		}
	}
	d.store.open(d.store.run + 1)
}

// comeBack gives this broker some of the other broker's jobs.
func (d *durableSim) comeBack(n int) {
	for _, e := range d.away[:n] {
		if j := d.ledger[string(d.s.AppendHandle(nil, e.job.Number))]; j != nil {
			j.away = false
		}
	}
	d.store.adopt(d.away[:n]...)
	d.away = d.away[n:]
}

// change has a connection end, and another begin.
func (d *durableSim) change(of *[]*Peer, again func() *Peer) {
	i := d.rng.IntN(len(*of))
	p := (*of)[i]
	d.say("fd %d leaves", p.FD)
	d.loses(p)
	d.leave(p)
	(*of)[i] = again()
}

// loses records that a worker's jobs may fail, because too many workers have lost them.
func (d *durableSim) loses(w *Peer) {
	for _, j := range w.doing {
		if d.cfg.JobRetries > 0 || j.keeping == notKept {
			d.ends(string(d.s.AppendHandle(nil, j.number)))
		}
	}
}

// listen reads what peers were sent.
func (d *durableSim) listen() {
	for _, w := range d.workers {
		for _, text := range d.got[w] {
			if name, ok := strings.CutPrefix(text, "JOB_ASSIGN"); ok {
				_, name, _ = strings.Cut(name, " ")
				name, _, _ = strings.Cut(name, "|")
				d.has[w] = append(d.has[w], d.handle(name))
			}
		}
		d.got[w] = slices.DeleteFunc(d.got[w], func(s string) bool { return s[0] != '#' })
	}
	for _, p := range d.background {
		// One answer to each submission, in order.
		for len(d.got[p]) > 0 && d.got[p][0][0] != '#' {
			answer, asked := d.got[p][0], d.asked[p][0]
			d.got[p], d.asked[p] = d.got[p][1:], d.asked[p][1:]
			name, ok := strings.CutPrefix(answer, "JOB_CREATED ")
			if !ok {
				continue
			}
			h := d.handle(name)
			number := d.s.parseHandle([]byte(h))
			i := slices.IndexFunc(d.store.entries, func(e *entry) bool { return e.job.Number == number && e.state == entryAcked })
			if j := d.s.shardOfJob(number).jobs.get(number); i < 0 && (j == nil || j.state == abandoned) {
				d.ends(h) // before the store could say anything
				continue
			}
			if i < 0 {
				d.Fatalf("%s was acknowledged and is not stored", h)
			}
			if e := d.store.entries[i]; e.job.Function+" "+e.job.Unique != asked {
				d.Fatalf("fd %d asked for %q and was told of %q %q", p.FD, asked, e.job.Function, e.job.Unique)
			}
			if d.ledger[h] == nil {
				// It may arrive late, behind an answer that waits.
				away := slices.ContainsFunc(d.away, func(e *entry) bool { return e.job.Number == number })
				d.ledger[h] = &promised{away: away}
			}
		}
	}
	for _, p := range d.foreground {
		d.got[p] = nil
	}
}

// drain does everything: the jobs of each function by priority, and within a priority in the order in which
// they were stored.
func (d *durableSim) drain() {
	d.comeBack(len(d.away))
	d.store.events.Lease(store.Never)
	order := map[string]int{}
	for i, e := range d.store.entries {
		order[string(d.s.AppendHandle(nil, e.job.Number))] = i
	}
	w := d.rig.worker("f", "g")
	d.until(d.now.Add(time.Hour))
	type queue struct {
		function string
		priority store.Priority
	}
	last := map[queue]int{}
	worst := map[string]store.Priority{}
	for range len(d.store.entries) + 1 {
		d.do(w, codec.GrabJobUniq)
		for len(d.fetches) > 0 {
			d.fetch(nil)
		}
		answer := d.got[w][len(d.got[w])-1]
		d.got[w] = nil
		name, ok := strings.CutPrefix(answer, "JOB_ASSIGN_UNIQ ")
		if !ok {
			continue
		}
		name, _, _ = strings.Cut(name, "|")
		h := d.handle(name)
		i, known := order[h]
		if !known {
			d.Fatalf("%s is handed out and was not stored", h)
		}
		job := &d.store.entries[i].job
		d.ends(h)
		q := queue{job.Function, job.Priority}
		if before, ok := last[q]; ok && job.Due == 0 && (before > i) != (d.cfg.Dialect.HighNewestFirst && job.Priority == store.High) {
			d.Fatalf("%s: job %d comes after %d", job.Function, i, before)
		}
		if job.Due == 0 {
			last[q] = i
		}
		if job.Due == 0 && job.Priority < worst[job.Function] {
			d.Fatalf("%s: priority %d comes after %d", job.Function, job.Priority, worst[job.Function])
		}
		worst[job.Function] = max(worst[job.Function], job.Priority)
		d.do(w, codec.WorkComplete, h, "")
	}
	for h, j := range d.ledger {
		if !j.ended {
			d.Fatalf("%s was promised to be done and was not", h)
		}
	}
	d.leave(w)
	for _, p := range slices.Concat(d.background, d.foreground, d.workers) {
		d.leave(p)
	}
	d.finish()
}
