package sched

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
	"gearloop/test/await"
)

// TestStress runs peers on a scheduler, each in its own goroutine, as many in parallel as there are cores. It
// ends when every job of every client has ended; a lost wake-up makes it hang.
func TestStress(t *testing.T) {
	for _, cfg := range []Config{
		{Wakeup: 1, WakeupDelay: time.Millisecond},
		{Wakeup: 3, WakeupDelay: 5 * time.Millisecond, MaxMemory: 64 << 20},
		{Wakeup: -1, WakeupDelay: -1},
		{Wakeup: -1, WakeupDelay: 5 * time.Millisecond, Herd: 1},
	} {
		cfg.Dialect, cfg.HandlePrefix, cfg.KeepArguments = dialect.Perl, "H:x", true
		t.Run(fmt.Sprintf("wakeup %d, herd %d", cfg.Wakeup, cfg.Herd), func(t *testing.T) { stress(t, cfg) })
	}
}

// arena is where they meet.
type arena struct {
	s         *Sched
	functions []string
	stopped   atomic.Bool
	jobs      int // of each client

	mu      sync.Mutex // of all mailboxes: they are not what is tested
	boxes   map[*Peer]*mailbox
	timers  map[*Timer]time.Time
	kick    chan struct{}
	problem atomic.Pointer[string]
	told    atomic.Int64 // ends of jobs that clients heard of who stay
}

type mailbox struct {
	kick chan struct{}
	mail []mail
}

// fighter is a peer in its goroutine.
type fighter struct {
	*arena
	peer *Peer
	box  *mailbox
	rng  *rand.Rand
	open map[string]int
	jobs []string
	noop bool
	ends int // it heard of
}

func stress(t *testing.T, cfg Config) {
	a := &arena{
		s: New(cfg), functions: []string{"a", "b", "c", "d", "e"}, jobs: 5000,
		boxes: map[*Peer]*mailbox{}, timers: map[*Timer]time.Time{}, kick: make(chan struct{}, 1),
	}
	var clients, workers, clock sync.WaitGroup
	clock.Go(a.keepTime)
	for i := range 6 {
		workers.Go(func() {
			for n := uint64(0); !a.stopped.Load(); n++ {
				a.fight(uint64(i)<<32 | n).work()
			}
		})
	}
	for i := range 4 {
		clients.Go(func() { a.fight(1<<40 | uint64(i)).ask() })
	}
	workers.Go(a.operate)
	for i := range 2 { // who submits and does not stay
		clients.Go(func() {
			for n := range uint64(50) {
				a.fight(1<<41 | uint64(i)<<32 | n).comeAndGo()
			}
		})
	}
	ended := make(chan struct{})
	go func() {
		clients.Wait()
		a.stop()
		workers.Wait()
		clock.Wait()
		close(ended)
	}()
	for last, over := int64(-1), false; !over; {
		select {
		case <-ended:
			over = true
		case <-time.After(await.Limit):
			if a.told.Load() == last {
				a.stop()
				t.Fatalf("jobs are still waited for: %d of %d have ended; %+v; invariants: %v",
					last, 4*a.jobs, a.s.Count(), a.s.checkInvariants(view{}))
			}
			last = a.told.Load()
		}
	}
	if text := a.problem.Load(); text != nil {
		t.Fatal(*text)
	}
	if n := a.told.Load(); n != int64(4*a.jobs) {
		t.Errorf("%d jobs were submitted by those who stay, they heard of %d ends", 4*a.jobs, n)
	}
	// Unwanted jobs are left in the queues.
	last := a.fight(0)
	for _, f := range a.functions {
		last.send(codec.CanDo, f)
	}
	for q := 1; q > 0; q, _ = a.s.Outstanding() {
		last.send(codec.GrabJob)
		if len(last.jobs) > 0 {
			last.send(codec.WorkComplete, last.jobs[0], "")
			last.jobs = nil
		}
	}
	last.leave()
	if c := a.s.Count(); c != (Counts{}) {
		t.Errorf("not all is gone: %+v", c)
	}
	if err := a.s.checkInvariants(view{}); err != nil {
		t.Error(err)
	}
}

func (a *arena) failf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	a.problem.CompareAndSwap(nil, &text)
}

// stop has everybody who waits look up.
func (a *arena) stop() {
	a.stopped.Store(true)
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, box := range a.boxes {
		ring(box.kick)
	}
	ring(a.kick)
}

func ring(kick chan struct{}) {
	select {
	case kick <- struct{}{}:
	default:
	}
}

func (a *arena) fight(seed uint64) *fighter {
	f := &fighter{
		arena: a, peer: &Peer{}, rng: rand.New(rand.NewPCG(seed, 7)),
		box: &mailbox{kick: make(chan struct{}, 1)}, open: map[string]int{},
	}
	a.s.Connect(f.peer)
	a.mu.Lock()
	a.boxes[f.peer] = f.box
	a.mu.Unlock()
	return f
}

func (f *fighter) send(t codec.Type, args ...string) {
	var fx Effects
	f.s.Handle(f.peer, t, payload.Borrow([]byte(strings.Join(args, "\x00"))), time.Now(), &fx)
	f.carry(&fx)
}

func (f *fighter) leave() {
	f.mu.Lock()
	delete(f.boxes, f.peer)
	f.mu.Unlock()
	for again := true; again; {
		var fx Effects
		f.s.Disconnect(f.peer, time.Now(), &fx)
		again = fx.Again
		f.carry(&fx)
	}
}

// carry does what effects ask for.
func (f *fighter) carry(fx *Effects) {
	for i := range fx.Packets {
		if pk := readPacket(fx, i); pk.to == f.peer {
			f.receive(pk)
		}
	}
	f.post(fx, f.peer)
}

// post sets timers and sends what is for others than self.
func (a *arena) post(fx *Effects, self *Peer) {
	defer func() {
		for _, fan := range fx.Fans {
			for more := true; more; {
				var part Effects
				more = a.s.FanOut(fan, 20, &part)
				a.post(&part, nil)
			}
		}
	}()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, arm := range fx.Timers {
		if at, set := a.timers[arm.Timer]; arm.At.IsZero() {
			delete(a.timers, arm.Timer)
		} else if !set || arm.At.Before(at) {
			a.timers[arm.Timer] = arm.At
			ring(a.kick)
		}
	}
	for i := range fx.Packets {
		pk := readPacket(fx, i)
		fx.Packets[i].Body.Release()
		if box := a.boxes[pk.to]; box != nil && pk.to != self {
			box.mail = append(box.mail, mail{packet: pk})
			ring(box.kick)
		}
	}
}

// read handles what has come, after waiting until there is something if wait says so.
func (f *fighter) read(wait bool) {
	for {
		f.mu.Lock()
		mails := f.box.mail
		f.box.mail = nil
		f.mu.Unlock()
		for _, m := range mails {
			if m.timer != nil {
				var fx Effects
				f.s.Fire(m.timer, time.Now(), &fx)
				f.carry(&fx)
				continue
			}
			f.receive(m.packet)
		}
		if len(mails) > 0 || !wait || f.stopped.Load() {
			return
		}
		<-f.box.kick
	}
}

func (f *fighter) receive(pk packet) {
	kind, rest, _ := strings.Cut(pk.text, " ")
	handle, _, _ := strings.Cut(rest, "|")
	switch kind {
	case "JOB_CREATED":
		f.open[handle]++
	case "WORK_DATA":
		if f.open[handle] <= 0 {
			f.failf("%q before JOB_CREATED or after the end", pk.text)
		}
	case "WORK_COMPLETE", "WORK_FAIL":
		if f.open[handle]--; f.open[handle] < 0 {
			f.failf("%q once too often, or before JOB_CREATED", pk.text)
		} else if f.open[handle] == 0 {
			delete(f.open, handle)
		}
		f.ends++
	case "JOB_ASSIGN":
		f.jobs = append(f.jobs, handle)
	case "NOOP":
		if f.peer.Push() {
			var fx Effects
			f.s.Push(f.peer, time.Now(), &fx)
			f.carry(&fx)
			return
		}
		if f.noop {
			f.failf("a second NOOP for one sleep")
		}
		f.noop = true
	case "ERROR":
		f.failf("%q", pk.text)
	}
}

// ask is a client that stays until all its jobs have ended.
func (f *fighter) ask() {
	for range f.arena.jobs {
		t := pick(f.rng, codec.SubmitJob, codec.SubmitJob, codec.SubmitJobHigh, codec.SubmitJobLow)
		f.send(t, pick(f.rng, f.functions...), pick(f.rng, "", "", "u", "v", "-"), pick(f.rng, "x", "y", ""))
		f.read(len(f.open) > 8)
	}
	for len(f.open) > 0 && !f.stopped.Load() {
		f.read(true)
	}
	f.told.Add(int64(f.ends))
	f.leave()
}

// operate is an administrator who applies random acts to jobs, whatever happens to them at the same moment.
func (a *arena) operate() {
	rng := rand.New(rand.NewPCG(1, 1))
	walk := a.s.WalkJobs()
	for !a.stopped.Load() {
		jobs, more := walk.Next(nil)
		for _, j := range jobs {
			if rng.IntN(4) > 0 {
				continue
			}
			var fx Effects
			h := string(a.s.AppendHandle(nil, j.Number))
			if rng.IntN(2) == 0 {
				a.s.Cancel(h, time.Now(), &fx)
			} else {
				a.s.Do(Act(rng.IntN(acts)), h, time.Now(), &fx)
			}
			a.post(&fx, nil)
		}
		if !more {
			walk = a.s.WalkJobs()
			time.Sleep(time.Millisecond) // others are to get their jobs done
			bulk := a.s.Bulk(pick(rng, TakeBackJob, MoveToFront, ToHigh, ToNormal), Meant{Function: pick(rng, a.functions...)})
			for more := true; more; {
				var fx Effects
				more = bulk.Next(time.Now(), &fx)
				a.post(&fx, nil)
			}
		}
	}
}

// comeAndGo is a client that does not wait.
func (f *fighter) comeAndGo() {
	for range f.rng.IntN(5) {
		t := pick(f.rng, codec.SubmitJob, codec.SubmitJobBg, codec.SubmitJobHighBg)
		f.send(t, pick(f.rng, f.functions...), pick(f.rng, "", "u", "v"), "x")
		f.s.Functions()
		f.s.Count()
		for _, fn := range f.functions {
			f.s.ExplainFunction(fn, time.Now())
		}
	}
	f.read(false)
	f.leave()
}

// work is one connection of a worker.
func (f *fighter) work() {
	for _, fn := range f.functions {
		if f.rng.IntN(4) > 0 {
			f.send(codec.CanDo, fn)
		}
	}
	push := f.rng.IntN(3) == 0
	if push {
		f.send(codec.AllYours)
	}
	for turns := 20 + f.rng.IntN(200); turns > 0 && !f.stopped.Load(); turns-- {
		if !push {
			f.send(codec.GrabJob)
		}
		for len(f.jobs) > 0 {
			job := f.jobs[0]
			f.jobs = f.jobs[1:]
			switch f.rng.IntN(20) {
			case 0:
				f.leave()
				return
			case 1:
				f.send(codec.CantDo, pick(f.rng, f.functions...))
				f.send(codec.CanDo, pick(f.rng, f.functions...))
				f.send(codec.WorkFail, job)
			case 2:
				f.send(codec.CanDoTimeout, pick(f.rng, f.functions...), "60")
				f.send(codec.ResetAbilities)
				for _, fn := range f.functions {
					f.send(codec.CanDo, fn)
				}
				f.send(codec.WorkComplete, job, "")
			default:
				f.send(codec.WorkData, job, "data")
				f.send(codec.WorkComplete, job, "done")
			}
			f.read(false)
			if !push && f.rng.IntN(3) > 0 {
				f.send(codec.GrabJob)
			}
		}
		if push {
			f.read(true)
			continue
		}
		f.noop = false
		f.send(codec.PreSleep)
		for !f.noop && !f.stopped.Load() {
			f.read(true)
		}
	}
	f.leave()
}

// keepTime fires timers.
func (a *arena) keepTime() {
	for !a.stopped.Load() {
		wait := time.Hour
		var due []*Timer
		a.mu.Lock()
		now := time.Now()
		for t, at := range a.timers {
			if d := at.Sub(now); d > 0 {
				wait = min(wait, d)
				continue
			}
			delete(a.timers, t)
			if p := t.Peer(); p == nil {
				due = append(due, t)
			} else if box := a.boxes[p]; box != nil {
				box.mail = append(box.mail, mail{timer: t})
				ring(box.kick)
			}
		}
		a.mu.Unlock()
		for _, t := range due {
			var fx Effects
			a.s.Fire(t, now, &fx)
			a.post(&fx, nil)
		}
		if len(due) > 0 {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-a.kick:
		case <-timer.C:
		}
		timer.Stop()
	}
}
