package reactor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/internal/payload"
	"gearloop/sched"
	"gearloop/store"
	"gearloop/test/await"
	"gearloop/test/collect"
	"gearloop/test/sample"
	"gearloop/test/wire"
)

// Places are filled in any order. The output has the order in which they were reserved, with everything that
// was sent meanwhile in between, and nothing is left over.
func TestHeldKeepsOrder(t *testing.T) {
	before, _ := payload.InUse()
	data := noise(20 << 10)
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		l := newLoop(&Server{cfg: Config{MaxOutbound: math.MaxInt}, pressure: newPressure(nil)}, nil)
		c := &conn{loop: l}
		c.out.total = &l.buffered
		type answer struct {
			ticket uint32
			body   []byte
		}
		var open []answer
		var want [][]byte // by packet, in order
		at := map[uint32]int{}
		answerOne := func() {
			i := rnd.IntN(len(open))
			a := open[i]
			open = append(open[:i], open[i+1:]...)
			c.send(codec.JobCreated, a.ticket, []byte("a\x00"), payload.Of(payloadOf(a.body)))
			want[at[a.ticket]] = codec.AppendPacket(nil, codec.JobCreated, "a", string(a.body))
		}
		for ticket := uint32(1); ticket < 40; {
			switch rnd.IntN(4) {
			case 0:
				c.send(sched.Reserve, ticket, nil, payload.View{})
				open = append(open, answer{ticket, data[:1+rnd.IntN(len(data)-1)]})
				at[ticket] = len(want)
				want = append(want, nil)
				ticket++
			case 1:
				body := data[rnd.IntN(len(data)-1):]
				c.send(codec.WorkData, 0, nil, payload.Of(payloadOf(body)))
				want = append(want, codec.AppendPacket(nil, codec.WorkData, string(body)))
			case 2:
				b := data[:rnd.IntN(100)]
				c.putBytes(b)
				want = append(want, bytes.Clone(b))
			case 3:
				if len(open) > 0 {
					answerOne()
				}
			}
			first := len(want) // output up to the first empty place
			for _, a := range open {
				first = min(first, at[a.ticket])
			}
			size, all := 0, 0
			for i, b := range want {
				if all += len(b); i < first {
					size += len(b)
				}
			}
			c.out.publish()
			if c.out.size != size || c.waiting() != all || l.buffered.Load() < int64(all) {
				t.Fatalf("seed %d: %d bytes may go out, want %d; %d wait, the loop has %d, want %d",
					seed, c.out.size, size, c.waiting(), l.buffered.Load(), all)
			}
		}
		if seed%2 == 0 {
			c.dropHeld()
			c.answer(1, codec.JobCreated, nil, payload.Of(payloadOf(data)))
		} else {
			for len(open) > 0 {
				answerOne()
			}
			var got []byte
			for !c.out.empty() {
				n := len(c.out.first())
				got = append(got, c.out.first()...)
				c.out.written(n)
			}
			if !bytes.Equal(got, bytes.Join(want, nil)) {
				t.Fatalf("seed %d: not what was sent, or not in order", seed)
			}
			if c.held != nil {
				t.Fatalf("seed %d: something is still held", seed)
			}
		}
		c.out.release()
		if n := l.buffered.Load(); n != 0 {
			t.Fatalf("seed %d: %d bytes are still counted", seed, n)
		}
	}
	if after, _ := payload.InUse(); after != before {
		t.Errorf("%d payloads were not released", after-before)
	}
}

// However many answers wait behind the first, each finds its place at once; searching for it would take
// minutes. Their memory is freed with them, and they are written in few pieces.
func TestManyHeldAnswers(t *testing.T) {
	many := sample.Of(500_000, 100_000)
	l := newLoop(&Server{cfg: Config{MaxOutbound: math.MaxInt}, pressure: newPressure(nil)}, nil)
	c := &conn{loop: l}
	c.out.total = &l.buffered
	first := uint32(math.MaxUint32 - 1000) // the ticket numbers wrap around meanwhile, without 0
	tickets := make([]uint32, many)
	for i := range tickets {
		if tickets[i] = first + uint32(i); tickets[i] < first {
			tickets[i]++
		}
		c.send(sched.Reserve, tickets[i], nil, payload.View{})
	}
	limit := time.Now().Add(await.Limit)
	for i := many - 1; i > 0; i-- {
		if c.send(codec.JobCreated, tickets[i], []byte("a"), payload.View{}); i%1000 == 0 && time.Now().After(limit) {
			t.Fatalf("%d answers took %v", many-i, await.Limit)
		}
	}
	if !c.out.empty() {
		t.Fatal("answers go out before the first")
	}
	c.send(codec.JobCreated, tickets[0], []byte("b"), payload.View{})
	want := append(codec.AppendPacket(nil, codec.JobCreated, "b"),
		bytes.Repeat(codec.AppendPacket(nil, codec.JobCreated, "a"), many-1)...)
	if most := len(want)/gatherSize + 2; len(c.out.pieces) > most {
		t.Errorf("%d pieces are written, want %d at most", len(c.out.pieces), most)
	}
	var got []byte
	for !c.out.empty() {
		n := len(c.out.first())
		got = append(got, c.out.first()...)
		c.out.written(n)
	}
	c.out.publish()
	if !bytes.Equal(got, want) || c.held != nil || l.buffered.Load() != 0 {
		t.Error("not all answers, not in order, or something is left")
	}
}

var errDisk = errors.New("the disk fails")

// slowDisk is a store in memory whose receipts come when the test says so.
type slowDisk struct {
	mu        sync.Mutex
	arguments []string
	waiting   []store.Receipt
	refs      []store.Ref
	hurries   int                                      // calls of Hurry
	hurried   int                                      // jobs before the last one
	read      func(w io.Writer, argument string) error // how arguments are read; nil: from memory
	shared    bool                                     // Lookup asks others
	asked     func(store.Status)
}

func (d *slowDisk) Start(events store.Events) error {
	events.Opened(1)
	events.Lease(store.Never)
	events.Flushed()
	return nil
}

func (d *slowDisk) Lookup(_ uint64, answer func(store.Status)) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = answer
	return d.shared
}

func (d *slowDisk) NewRun()                                  {}
func (d *slowDisk) Update(store.Ref, uint16, store.Priority) {}
func (d *slowDisk) Done(store.Ref)                           {}
func (d *slowDisk) Stats() store.Stats                       { return store.Stats{} }
func (d *slowDisk) Close() error                             { return nil }

func (d *slowDisk) Hurry() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hurries++
	d.hurried = len(d.arguments)
}

func (d *slowDisk) Append(j *store.Job, r store.Receipt) (store.Ref, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.arguments = append(d.arguments, string(bytes.Join(j.Argument, nil)))
	d.waiting = append(d.waiting, r)
	ref := store.Ref(len(d.arguments))
	d.refs = append(d.refs, ref)
	return ref, nil
}

func (d *slowDisk) Argument(ref store.Ref, w io.Writer, done func(error)) {
	d.mu.Lock()
	argument, read := d.arguments[ref-1], d.read
	d.mu.Unlock()
	go func() {
		if read != nil {
			done(read(w, argument))
			return
		}
		_, err := io.WriteString(w, argument)
		done(err)
	}()
}

// argument returns the argument of the job that was appended after n others.
func (d *slowDisk) argument(n int) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.arguments[n]
}

// counted returns how often Hurry was called, and how many jobs had been appended by then.
func (d *slowDisk) counted() (hurries, jobs int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hurries, d.hurried
}

// answer waits until n receipts are due, and gives them.
func (d *slowDisk) answer(r *rig, n int, err error) {
	r.tb.Helper()
	wire.Await(r.tb, "jobs wait to be stored", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.waiting) >= n
	})
	d.mu.Lock()
	receipts, refs := d.waiting[:n], d.refs[:n]
	d.waiting, d.refs = d.waiting[n:], d.refs[n:]
	d.mu.Unlock()
	for i, receipt := range receipts {
		receipt.Stored(refs[i], err)
	}
	r.server.Flushed()
}

func withDisk(d *slowDisk) func(*setup) { return func(s *setup) { s.store = d } }

// onlyJobsLeft waits until only so many jobs are left, and drops them.
func (r *rig) onlyJobsLeft(before int64, jobs int) {
	r.tb.Helper()
	wire.Await(r.tb, fmt.Sprintf("no connection, and %d jobs are left", jobs), func() bool {
		return r.server.connections.Load() == 0 && len(collect.Rows(r.sched.WalkJobs())) == jobs
	})
	for _, j := range collect.Rows(r.sched.WalkJobs()) {
		var fx sched.Effects
		r.sched.Cancel(string(r.sched.AppendHandle(nil, j.Number)), time.Now(), &fx)
	}
	r.quiet()
	wire.Await(r.tb, "no payload is left", func() bool {
		n, _ := payload.InUse()
		return n <= before
	})
	if n := r.server.buffered(); n != 0 {
		r.tb.Errorf("%d bytes of output are counted, and there is none", n)
	}
}

func payloads() int64 {
	n, _ := payload.InUse()
	return n
}

// wantHeld waits until so many bytes are held for all connections together.
func (r *rig) wantBuffered(least int64) {
	r.tb.Helper()
	wire.Await(r.tb, "output is held", func() bool { return r.server.buffered() >= least })
}

// Packets and text behind an answer that waits for the disk are sent after it, with and without TLS.
func TestAnswersWaitForTheDisk(t *testing.T) {
	for name, start := range map[string]func(d *slowDisk) (*rig, *wire.Conn){
		"plain": func(d *slowDisk) (*rig, *wire.Conn) {
			r := newRig(t, withDisk(d))
			return r, r.dial()
		},
		"TLS": func(d *slowDisk) (*rig, *wire.Conn) {
			r := newTLSRig(t, false, withDisk(d))
			return r.rig, r.secure()
		},
	} {
		before := payloads()
		d := &slowDisk{}
		r, c := start(d)
		large := strings.Repeat("e", 200<<10)
		c.Send(codec.EchoReq, "0")
		c.Send(codec.SubmitJobBg, "f", "a", "x")
		c.Send(codec.EchoReq, "1")
		c.Send(codec.SubmitJobBg, "f", "b", "x")
		c.Send(codec.EchoReq, large)
		c.Line("version")
		c.Send(codec.SubmitJobBg, "f", "a", "x")
		c.Want(codec.EchoRes, "0")
		r.wantBuffered(int64(len(large)))
		d.answer(r, 1, nil)
		first := c.WantType(codec.JobCreated)
		c.Want(codec.EchoRes, "1")
		d.answer(r, 1, errDisk)
		c.WantError("queue_full")
		c.Want(codec.EchoRes, large)
		if line := c.ReadLine(); !strings.Contains(line, "1.2.3") {
			t.Errorf("%s: version is %q", name, line)
		}
		if p := c.WantType(codec.JobCreated); !bytes.Equal(p.Data, first.Data) {
			t.Errorf("%s: joined %q, want %q", name, p.Data, first.Data)
		}
		c.Close()
		r.onlyJobsLeft(before, 1)
	}
}

// The store is told once for all jobs that are read in a turn.
func TestHurryOncePerTurn(t *testing.T) {
	for _, n := range []int{1, 4} {
		d := &slowDisk{}
		r := newRig(t, withDisk(d), loops(n))
		r.hurriesOnce(d, r.dial(), r.dial(), r.dial(), r.dial())
	}
}

// hurriesOnce has each peer submit many jobs in one write, and checks that the store is told that it has all of them,
// and rarely before.
func (r *rig) hurriesOnce(d *slowDisk, peers ...*wire.Conn) {
	r.tb.Helper()
	const jobs = 50
	for n, c := range peers {
		before, _ := d.counted()
		c.Raw(bytes.Repeat(codec.AppendRequest(nil, codec.SubmitJobBg, "f", "", "x"), jobs))
		wire.Await(r.tb, "the store is told that it has all jobs", func() bool {
			_, hurried := d.counted()
			return hurried == (n+1)*jobs
		})
		after, _ := d.counted()
		if told := after - before; told > jobs/4 { // the bytes may arrive in several pieces
			r.tb.Errorf("told %d times for %d jobs", told, jobs)
		}
	}
	d.answer(r, jobs*len(peers), nil)
}

// When a connection ends in any way, the output that waits for the disk is dropped. The receipt comes later.
func TestConnectionEndsWhileHeld(t *testing.T) {
	for _, secure := range []bool{false, true} {
		for name, end := range map[string]func(c *wire.Conn){
			"closed": func(c *wire.Conn) { c.Close() },
			"told of its fault": func(c *wire.Conn) {
				c.Raw([]byte("\x00BADbadbadbad"))
			},
		} {
			before := payloads()
			d := &slowDisk{}
			var r *rig
			var c *wire.Conn
			if secure {
				s := newTLSRig(t, false, withDisk(d))
				r, c = s.rig, s.secure()
			} else {
				r = newRig(t, withDisk(d))
				c = r.dial()
			}
			c.Send(codec.SubmitJobBg, "f", "a", "x")
			c.Send(codec.EchoReq, strings.Repeat("e", 100<<10))
			r.wantBuffered(100 << 10)
			end(c)
			if name == "closed" {
				wire.Await(t, "the connection is gone", func() bool { return r.server.connections.Load() == 0 })
				d.answer(r, 1, nil)
			} else {
				d.answer(r, 1, nil)
				c.WantType(codec.JobCreated) // and only then the end
				c.WantType(codec.EchoRes)
				c.Close()
			}
			r.onlyJobsLeft(before, 1)
		}
	}
}

// Held output counts as output that the peer does not read.
func TestHeldIsBounded(t *testing.T) {
	before := payloads()
	d := &slowDisk{}
	r := newRig(t, withDisk(d), func(s *setup) { s.MaxOutbound = 1 << 20; s.Log = noLog() })
	c := r.dial()
	c.Send(codec.SubmitJobBg, "f", "a", "x")
	for range 12 {
		c.Send(codec.EchoReq, strings.Repeat("e", 100<<10))
	}
	wire.Await(t, "it is cut off", func() bool { return r.server.counters.CutOff.Load() == 1 })
	c.Close()
	d.answer(r, 1, nil)
	r.onlyJobsLeft(before, 1)
}

// Receipts come from a goroutine of their own while connections on two loops submit. Each connection gets its
// answers in order.
func TestSettleBesideTheLoops(t *testing.T) {
	const clients, jobs = 4, 200
	before := payloads()
	d := &slowDisk{}
	r := newRig(t, withDisk(d), loops(2))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range clients * jobs {
			d.answer(r, 1, nil)
		}
	}()
	var all sync.WaitGroup
	for k := range clients {
		all.Go(func() {
			c := r.dial()
			for i := range jobs {
				c.Send(codec.SubmitJobBg, "f", fmt.Sprintf("%d-%d", k, i), "x")
				c.Send(codec.EchoReq, fmt.Sprint(i))
			}
			for i := range jobs {
				c.WantType(codec.JobCreated)
				c.Want(codec.EchoRes, fmt.Sprint(i))
			}
			c.Close()
		})
	}
	all.Wait()
	<-done
	r.onlyJobsLeft(before, clients*jobs)
}

// A loop uses the places of answered packets again, for any of its connections, and keeps few.
func TestHeldIsReused(t *testing.T) {
	l := newLoop(&Server{cfg: Config{MaxOutbound: math.MaxInt}, pressure: newPressure(nil)}, nil)
	conns := make([]*conn, spareHelds+2)
	for i := range conns {
		conns[i] = &conn{loop: l}
		conns[i].out.total = &l.buffered
	}
	send := func(c *conn, places int) {
		for ticket := range uint32(places) {
			c.send(sched.Reserve, ticket+1, nil, payload.View{})
		}
		for ticket := range uint32(places) {
			c.send(codec.JobCreated, ticket+1, []byte("H"), payload.View{})
		}
		if got, want := c.out.size, places*(codec.HeaderSize+1); c.held != nil || got != want {
			t.Fatalf("%d bytes are to be written, want %d", got, want)
		}
		c.out.release()
		c.out = output{total: &l.buffered}
	}
	send(conns[0], 100)
	used := l.spareHelds[0]
	send(conns[1], 50)
	if len(l.spareHelds) != 1 || l.spareHelds[0] != used {
		t.Error("the places were not used again")
	}
	send(conns[0], 2*sparePlaces)
	if len(l.spareHelds) > 0 {
		t.Errorf("it keeps %d places", cap(l.spareHelds[0].places))
	}
	for _, c := range conns {
		c.send(sched.Reserve, 1, nil, payload.View{})
	}
	for _, c := range conns {
		c.send(codec.JobCreated, 1, []byte("H"), payload.View{})
	}
	if n := len(l.spareHelds); n != spareHelds {
		t.Errorf("it keeps those of %d connections, want %d", n, spareHelds)
	}
}
