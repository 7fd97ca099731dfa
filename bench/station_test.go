package bench

import (
	"bytes"
	"fmt"
	"runtime"
	"sync"
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
	"gearloop/sched"
)

// station is a client and a worker of one goroutine, calling the scheduler as a reactor does.
type station struct {
	sched          *sched.Sched
	client, worker sched.Peer
	submit         [][]byte // data of SUBMIT_JOB, one for each function
	report         []byte   // data of WORK_COMPLETE
	fx             sched.Effects
	now            time.Time // a reactor asks the clock once for many packets
}

func newSched() *sched.Sched {
	return sched.New(sched.Config{
		Dialect: dialect.Perl, HandlePrefix: "H:host",
		Wakeup: dialect.Perl.Wakeup, WakeupDelay: dialect.Perl.WakeupDelay,
		MaxMemory: 64 << 30,
		Start:     time.Now(),
	})
}

func functionNames(n int) []string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("function_%d", i))
	}
	return names
}

// newStation connects a client and a worker that can do all the functions.
func newStation(s *sched.Sched, functions []string) *station {
	st := &station{sched: s, now: time.Now()}
	s.Connect(&st.client)
	s.Connect(&st.worker)
	for _, name := range functions {
		st.handle(&st.worker, codec.CanDo, []byte(name))
		st.submit = append(st.submit, submission(name, ""))
	}
	return st
}

func newStations(s *sched.Sched, functions []string, n int) []*station {
	stations := make([]*station, n)
	for i := range stations {
		stations[i] = newStation(s, functions)
	}
	return stations
}

// submission returns the data of SUBMIT_JOB.
func submission(function, unique string) []byte {
	return append([]byte(function+"\x00"+unique+"\x00"), bytes.Repeat([]byte{'x'}, jobPayload)...)
}

func (st *station) handle(p *sched.Peer, t codec.Type, data []byte) {
	st.sched.Handle(p, t, payload.Borrow(data), st.now, &st.fx)
	st.carry()
}

// carry drops the effects of a call.
func (st *station) carry() {
	for i := range st.fx.Packets {
		st.fx.Packets[i].Body.Release()
	}
	st.fx.Reset()
}

// job submits a job and has the worker do one, this or another that waits.
func (st *station) job(i int) {
	st.handle(&st.client, codec.SubmitJob, st.submit[i%len(st.submit)])
	for !st.work(&st.worker) {
		// Another goroutine was faster, and has a job of its own in a function that
		// this worker had already looked at.
		runtime.Gosched()
	}
}

// work has a worker ask for a job and do it; false when there is none.
func (st *station) work(worker *sched.Peer) bool {
	st.sched.Handle(worker, codec.GrabJob, payload.View{}, st.now, &st.fx)
	p := &st.fx.Packets[0]
	if p.Type != codec.JobAssign {
		st.carry()
		return false
	}
	handle, _, _ := codec.Cut(st.fx.Args(p))
	st.report = append(append(st.report[:0], handle...), "\x00the result"...)
	st.carry()
	st.handle(worker, codec.WorkComplete, st.report)
	return true
}

// leave disconnects both.
func (st *station) leave() {
	st.sched.Disconnect(&st.worker, st.now, &st.fx)
	st.sched.Disconnect(&st.client, st.now, &st.fx)
	st.carry()
}

// queueJobs queues background jobs, the functions in turn.
func queueJobs(s *sched.Sched, functions []string, jobs int) {
	st := newStation(s, nil)
	for _, name := range functions {
		st.submit = append(st.submit, submission(name, ""))
	}
	for i := range jobs {
		st.handle(&st.client, codec.SubmitJobBg, st.submit[i%len(st.submit)])
	}
	st.leave()
}

// share divides n among goroutines that all begin at once, and waits for them.
func share(n, goroutines int, f func(g, n int)) {
	var all sync.WaitGroup
	begin := make(chan struct{})
	for g := range goroutines {
		part := n / goroutines
		if g < n%goroutines {
			part++
		}
		all.Go(func() {
			<-begin
			f(g, part)
		})
	}
	close(begin)
	all.Wait()
}

// heapInUse returns the bytes of all live objects.
func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
