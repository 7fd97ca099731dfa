package sched

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
	"gearloop/test/sample"
)

// TestFansKeepOrder: workers report on jobs with many listeners while clients join and leave, a job is
// cancelled or loses its worker, and packets go out in parts in between. Each client gets everything decided
// after it joined, in order.
func TestFansKeepOrder(t *testing.T) {
	for _, d := range []*dialect.Dialect{dialect.Perl, dialect.C} {
		t.Run(d.Name, func(t *testing.T) {
			before, _ := payload.InUse()
			spread := 0
			for seed := range uint64(sample.Of(24, 6)) {
				spread += fanRun(t, d, seed)
			}
			if after, _ := payload.InUse(); after != before {
				t.Errorf("%d payloads were not released", after-before)
			}
			if spread < sample.Of(1000, 200) {
				t.Errorf("only %d packets went through fans", spread)
			}
		})
	}
}

func fanRun(t *testing.T, d *dialect.Dialect, seed uint64) (spread int) {
	rng := rand.New(rand.NewPCG(seed, 7))
	cfg := perl()
	cfg.Dialect = d
	r := newRig(t, cfg)
	r.s.wide = 1 + rng.IntN(6)
	r.holdFans = true
	jobs := []string{"one", "two"}
	want := map[*Peer][]string{} // by client
	joined := map[string][]*Peer{}
	var clients []*Peer
	client := func() *Peer {
		p := r.connect()
		if rng.IntN(2) == 0 {
			r.do(p, codec.OptionReq, "exceptions")
		}
		r.got[p] = nil
		clients = append(clients, p)
		return p
	}
	join := func(job string, p *Peer) {
		r.do(p, codec.SubmitJob, "f", job, job)
		joined[job] = append(joined[job], p)
		want[p] = append(want[p], "JOB_CREATED "+job)
	}
	for _, job := range jobs {
		for range 3 + rng.IntN(10) {
			join(job, client())
		}
	}
	w := r.worker("f")
	handles := map[string]string{}
	for range jobs {
		r.do(w, codec.GrabJobUniq)
		got := strings.Split(r.got[w][len(r.got[w])-1], "|")
		handles[got[2]] = r.handle(strings.Fields(got[0])[1])
	}
	names := map[string]string{} // of handles, by job
	for job, h := range handles {
		names[job] = r.names[h]
	}
	expect := func(job, text string, only func(p *Peer) bool) {
		for _, p := range joined[job] {
			if only(p) {
				want[p] = append(want[p], text)
			}
		}
	}
	all := func(*Peer) bool { return true }
	alive := func() []string {
		return slices.DeleteFunc(slices.Clone(jobs), func(job string) bool { return handles[job] == "" })
	}
	large := strings.Repeat("L", 2<<10)
	for n := 0; len(alive()) > 0 && n < 200; n++ {
		job := alive()[rng.IntN(len(alive()))]
		h := handles[job]
		switch k := rng.IntN(20); {
		case k < 6:
			data := strconv.Itoa(n)
			if k == 0 {
				data += large
			}
			r.sends(w, codec.WorkData, h+"\x00"+data, k == 0)
			expect(job, fmt.Sprintf("WORK_DATA %s|%s", job, data), all)
		case k < 8:
			r.do(w, codec.WorkStatus, h, strconv.Itoa(n), "9")
			expect(job, fmt.Sprintf("WORK_STATUS %s|%d|9", job, n), all)
		case k < 11:
			join(job, client())
		case k == 11:
			join(job, clients[rng.IntN(len(clients))])
		case k == 12 && len(clients) > 2:
			i := rng.IntN(len(clients))
			r.leave(clients[i])
			clients = slices.Delete(clients, i, i+1)
		case k == 13 && rng.IntN(8) == 0:
			r.do(w, codec.WorkComplete, h, "result")
			expect(job, "WORK_COMPLETE "+job+"|result", all)
			handles[job] = ""
		case k == 14 && rng.IntN(8) == 0:
			r.cancel(h)
			r.until(r.now) // the worker's goroutine tells of it
			expect(job, "WORK_FAIL "+job, all)
			handles[job] = ""
		case k == 15 && rng.IntN(8) == 0 && !d.ExceptionEnds:
			r.do(w, codec.WorkException, h, "e")
			expect(job, "WORK_EXCEPTION "+job+"|e", func(p *Peer) bool { return p.exceptions.Load() })
		case len(r.fans) > 0:
			spread++
			i := rng.IntN(len(r.fans))
			r.fans[0], r.fans[i] = r.fans[i], r.fans[0]
			var fx Effects
			f := r.fans[0]
			r.fans = r.fans[1:]
			if r.s.FanOut(f, 1+rng.IntN(5), &fx) {
				r.fans = append(r.fans, f)
			}
			r.carry(&fx)
		}
		if len(r.fans) > len(jobs) || r.waits > len(jobs) {
			t.Fatalf("seed %d: %d fans, %d waits for %d jobs and one worker", seed, len(r.fans), r.waits, len(jobs))
		}
	}
	for len(r.fans) > 0 {
		spread++
		r.fanOut()
	}
	if n := r.s.Fanned(); n != 0 || r.waits != 0 {
		t.Fatalf("seed %d: %d bytes are counted, the worker waits for %d fans", seed, n, r.waits)
	}
	for _, p := range clients {
		for i, text := range r.got[p] {
			for job, h := range names {
				r.got[p][i] = strings.Replace(text, " "+h, " "+job, 1)
				if r.got[p][i] != text {
					break
				}
			}
		}
		got, want := byJob(r.got[p]), byJob(want[p])
		for i := range max(len(got), len(want)) {
			if i == len(got) || i == len(want) || got[i] != want[i] {
				t.Fatalf("seed %d: %d packets, want %d; at %d %.60q, want %.60q", seed, len(got), len(want), i, got[min(i, len(got)):], want[min(i, len(want)):])
			}
		}
		r.leave(p)
	}
	r.leave(w)
	return spread
}

// byJob sorts packets by job, keeping the order within a job, except JOB_CREATED: it answers a submission and
// does not wait for earlier packets that are sent later.
func byJob(packets []string) []string {
	sorted := slices.Clone(packets)
	slices.SortStableFunc(sorted, func(a, b string) int { return strings.Compare(jobOf(a), jobOf(b)) })
	return sorted
}

func jobOf(packet string) string {
	typ, rest, _ := strings.Cut(packet, " ")
	job, _, _ := strings.Cut(rest, "|")
	if typ == "JOB_CREATED" {
		return typ
	}
	return job
}

// TestListenersAreBounded: the jobs that a connection joins are bounded, and so are the submissions that join
// a job; more are refused and counted. The end of jobs makes room.
func TestListenersAreBounded(t *testing.T) {
	r := newRig(t, perl())
	var fx Effects
	cost := 0 // of the last one
	join := func(p *Peer, unique string) codec.Type {
		handle(codec.SubmitJob, "f", unique, "x")(r, p, &fx)
		typ := fx.Packets[len(fx.Packets)-1].Type
		cost = fx.Work
		fx.Reset()
		return typ
	}
	first := r.connect()
	refused := 0
	for i := range MaxJoins + 10 {
		if typ := join(first, "u"); typ != codec.JobCreated {
			if refused++; i <= MaxJoins {
				t.Fatalf("joined %d times: %v", i, typ)
			}
			if refused > 1 && cost > joinedTurn {
				t.Errorf("a refusal costs %d", cost)
			}
		}
	}
	if refused != 9 { // the first submission joins nothing
		t.Errorf("%d refused, want 9", refused)
	}
	listeners := MaxJoins
	clients := []*Peer{first}
	for listeners < MaxListeners {
		p := r.connect()
		clients = append(clients, p)
		for range min(MaxJoins, MaxListeners-listeners) {
			if typ := join(p, "u"); typ != codec.JobCreated {
				t.Fatalf("listener %d: %v", listeners, typ)
			}
			listeners++
		}
	}
	late := r.connect()
	if typ := join(late, "u"); typ != codec.Error {
		t.Errorf("one more than MaxListeners: %v", typ)
	}
	if n := r.s.Counters().Refused[TooMany]; n != 10 {
		t.Errorf("%d refusals are counted, want 10", n)
	}
	if n := r.s.Jobs()[0].Listeners; n != MaxListeners+1 {
		t.Errorf("%d listeners", n)
	}
	r.check()
	// Who leaves makes room.
	r.leave(clients[1])
	if n := r.s.Jobs()[0].Listeners; n != MaxListeners+1-MaxJoins {
		t.Errorf("%d listeners when %d have gone", n, MaxJoins)
	}
	if typ := join(late, "u"); typ != codec.JobCreated {
		t.Errorf("when some have gone: %v", typ)
	}
	// So does the end of the job.
	w := r.worker("f")
	r.do(w, codec.GrabJob)
	r.do(w, codec.WorkComplete, r.handle("h1"), "")
	if len(first.joined) != MaxJoins {
		t.Fatalf("%d joined", len(first.joined))
	}
	for range 2 {
		if typ := join(first, "v"); typ != codec.JobCreated {
			t.Errorf("when the job has ended: %v", typ)
		}
	}
	if n := len(first.joined); n > MaxJoins-joinedTurn+1 {
		t.Errorf("%d joined", n)
	}
	r.leave(w)
	for _, p := range append(clients, late) {
		if !p.Gone() {
			r.leave(p)
		}
	}
	r.s.DropUnwanted(r.now)
	if c := r.s.Count(); c != (Counts{}) {
		t.Errorf("left: %+v", c)
	}
}

// TestCallsDoNotCountListeners: requests about a job cost the same, however many listen; a packet of its
// worker costs as much as it sends in that call, and the rest is sent later.
func TestCallsDoNotCountListeners(t *testing.T) {
	r := newRig(t, perl())
	const many = 5000
	for range many {
		p := r.connect()
		var fx Effects
		handle(codec.SubmitJob, "f", "u", "x")(r, p, &fx)
		fx.Reset()
	}
	w := r.worker("f")
	r.do(w, codec.GrabJob)
	r.holdFans = true
	var fx Effects
	handle(codec.WorkStatus, r.handle("h1"), "1", "2")(r, w, &fx)
	if len(fx.Packets) > wideJob || fx.Work > wideJob || len(fx.Fans) != 1 || fx.Waits != 1 {
		t.Errorf("%d packets in one call, work %d, %d fans, the worker waits for %d", len(fx.Packets), fx.Work, len(fx.Fans), fx.Waits)
	}
	fan := fx.Fans[0]
	fx.Reset()
	sent, calls := 0, 0
	for more := true; more; calls++ {
		more = r.s.FanOut(fan, 100, &fx)
		if n := len(fx.Packets); n > 100 {
			t.Fatalf("%d packets in one call", n)
		}
		if sent += len(fx.Packets); more != (len(fx.Resume) == 0) {
			t.Fatal("the worker goes on before the end, or not at the end")
		}
		fx.Reset()
	}
	if sent != many || calls < many/100 {
		t.Errorf("%d packets in %d calls", sent, calls)
	}
}

// TestManyListenersInTheWalk: the text command "clients" goes through the listeners of one job in several
// steps, and finds each once.
func TestManyListenersInTheWalk(t *testing.T) {
	r := newRig(t, perl())
	const clients, joins = 20, 300
	for range clients {
		p := r.connect()
		var fx Effects
		for range joins {
			handle(codec.SubmitJob, "f", "u", "x")(r, p, &fx)
			fx.Reset()
		}
	}
	walk := r.s.WalkClients()
	var dst []ClientInfo
	jobs := 0
	for more := true; more; {
		dst, more = walk.Next(dst[:0])
		if walk.Looked() > walkListeners+walkJobs+1 {
			t.Fatalf("a step looks at %d", walk.Looked())
		}
		for _, i := range dst {
			if i.IsJob {
				jobs++
			}
		}
	}
	if jobs != clients*joins {
		t.Errorf("%d rows of jobs, want %d", jobs, clients*joins)
	}
}
