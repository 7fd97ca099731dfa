package sched

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gearloop/codec"
	"gearloop/internal/payload"
)

// TestRunsSort: whatever the portions, it comes out as if all had been sorted at once.
func TestRunsSort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		portions := rapid.SliceOf(rapid.SliceOf(rapid.IntRange(0, 50))).Draw(t, "portions")
		r := runs[int]{compare: cmp.Compare[int]}
		var want, got []int
		for _, p := range portions {
			r.add(p)
			want = append(want, p...)
		}
		slices.Sort(want)
		if (r.size() > 0) != (len(want) > 0) {
			t.Fatalf("%d entries are said to take %d bytes", len(want), r.size())
		}
		for next, ok := r.first(); ok; next, ok = r.first() {
			got = append(got, next)
			r.drop()
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

// crowd is a scheduler in which things come and go between the steps of a walk.
type crowd struct {
	*rapid.T
	s     *Sched
	fx    Effects
	names []string // of functions
	jobs  map[string]bool
	peers map[*Peer]bool
	fds   int

	throughoutJobs  map[string]bool
	throughoutPeers map[*Peer]bool
}

func newCrowd(t *rapid.T) *crowd {
	c := &crowd{T: t, s: New(perl()), jobs: map[string]bool{}, peers: map[*Peer]bool{}}
	for i := range rapid.IntRange(1, 5).Draw(t, "functions") {
		c.names = append(c.names, "f"+strconv.Itoa(i))
	}
	for range rapid.IntRange(0, 400).Draw(t, "peers") {
		c.connect()
	}
	for range rapid.IntRange(0, 600).Draw(t, "jobs") {
		c.submit(c.names[c.fds%len(c.names)])
		c.fds++
	}
	c.throughoutJobs, c.throughoutPeers = maps.Clone(c.jobs), maps.Clone(c.peers)
	return c
}

func (c *crowd) handle(p *Peer, t codec.Type, data string) {
	c.s.Handle(p, t, payload.Borrow([]byte(data)), start, &c.fx)
}

func (c *crowd) connect() {
	c.fds++
	p := &Peer{FD: c.fds * 7919 % 100_003} // in no order
	c.s.Connect(p)
	c.handle(p, codec.CanDo, "of-"+strconv.Itoa(p.FD))
	c.fx.Reset()
	c.peers[p] = true
}

func (c *crowd) submit(function string) {
	p := &Peer{}
	c.handle(p, codec.SubmitJobBg, function+"\x00\x00")
	c.jobs[string(c.fx.Args(&c.fx.Packets[0]))] = true
	c.fx.Reset()
}

// change lets some come and some go.
func (c *crowd) change() {
	for range rapid.IntRange(0, 3).Draw(c.T, "new jobs") {
		c.submit(rapid.SampledFrom(c.names).Draw(c.T, "function"))
	}
	for range rapid.IntRange(0, 3).Draw(c.T, "new peers") {
		c.connect()
	}
	gone := rapid.IntRange(0, 40).Draw(c.T, "jobs that go")
	for h := range c.jobs {
		if gone--; gone < 0 {
			break
		}
		if !c.s.Cancel(h, start, &c.fx) {
			c.Fatalf("job %s is not there", h)
		}
		c.fx.Reset()
		delete(c.jobs, h)
		delete(c.throughoutJobs, h)
	}
	gone = rapid.IntRange(0, 20).Draw(c.T, "peers that go")
	for p := range c.peers {
		if gone--; gone < 0 {
			break
		}
		c.s.Disconnect(p, start, &c.fx)
		c.fx.Reset()
		delete(c.peers, p)
		delete(c.throughoutPeers, p)
	}
}

// once counts how often each came, and fails for who came twice or was there throughout and did not come.
func once[K comparable](c *crowd, came []K, throughout map[K]bool) {
	seen := map[K]bool{}
	for _, k := range came {
		if seen[k] {
			c.Fatalf("%v came twice", k)
		}
		seen[k] = true
	}
	for k := range throughout {
		if !seen[k] {
			c.Fatalf("%v was there throughout and did not come", k)
		}
	}
}

// walked goes through a walk while things come and go, and returns what it came by. No step may come by
// more than most.
func walked[T any](c *crowd, most int, walk interface{ Next([]T) ([]T, bool) }) (found []T) {
	for steps, more := 0, true; more; steps++ {
		var step []T
		if step, more = walk.Next(nil); len(step) > most {
			c.Fatalf("a step came by %d", len(step))
		}
		if steps > 1000 {
			c.Fatal("the walk does not end")
		}
		found = append(found, step...)
		c.change()
	}
	return found
}

// TestWalks: while others come and go, whatever is there throughout comes exactly once, in order.
func TestWalks(t *testing.T) {
	t.Run("jobs", rapid.MakeCheck(func(t *rapid.T) {
		c := newCrowd(t)
		var handles []string
		for _, j := range walked(c, walkJobs, c.s.WalkJobs()) {
			handles = append(handles, string(c.s.AppendHandle(nil, j.Number)))
		}
		once(c, handles, c.throughoutJobs)
	}))
	t.Run("peers", rapid.MakeCheck(func(t *rapid.T) {
		c := newCrowd(t)
		var peers []*Peer
		found := walked(c, walkPeers, c.s.WalkPeers())
		for _, p := range found {
			peers = append(peers, p.Peer)
		}
		once(c, peers, c.throughoutPeers)
		if !slices.IsSortedFunc(found, func(a, b PeerInfo) int { return a.FD - b.FD }) {
			t.Fatal("not by descriptor")
		}
	}))
	t.Run("functions", rapid.MakeCheck(func(t *rapid.T) {
		c := newCrowd(t)
		var names []string
		for _, f := range walked(c, walkFunctions, c.s.WalkFunctions()) {
			names = append(names, f.Name)
		}
		throughout := map[string]bool{}
		for p := range c.throughoutPeers {
			throughout["of-"+strconv.Itoa(p.FD)] = true
		}
		once(c, names, throughout)
		if !slices.IsSorted(names) {
			t.Fatal("not by name")
		}
	}))
	t.Run("scan", rapid.MakeCheck(func(t *rapid.T) {
		c := newCrowd(t)
		found := map[string]int{}
		for _, f := range walked(c, walkFunctions, c.s.ScanFunctions()) {
			found[f.Name]++
		}
		for p := range c.throughoutPeers { // another that ends and begins anew may come twice
			if name := "of-" + strconv.Itoa(p.FD); found[name] != 1 {
				t.Fatalf("%s was there throughout and came %d times", name, found[name])
			}
		}
	}))
}

// TestWalkClients: while others come and go, whoever stays has each job that stays and that it listens to
// exactly once, under its own connection.
func TestWalkClients(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCrowd(t)
		type listens struct {
			peer   *Peer
			handle string
		}
		all := slices.SortedFunc(maps.Keys(c.peers), func(a, b *Peer) int { return a.FD - b.FD })
		throughout := map[listens]bool{}
		for i, p := range all {
			for n := range i % 4 {
				c.handle(p, codec.SubmitJob, c.names[0]+"\x00"+strconv.Itoa(n)+"\x00") // shared with others
				for k := range c.fx.Packets {
					if pk := &c.fx.Packets[k]; pk.Type == codec.JobCreated {
						throughout[listens{p, string(c.fx.Args(pk))}] = true
						c.jobs[string(c.fx.Args(pk))] = true
						c.throughoutJobs[string(c.fx.Args(pk))] = true
					}
				}
				c.fx.Reset()
			}
		}
		var peers []*Peer
		var came []listens
		for _, i := range walked(c, walkPeers, c.s.WalkClients()) {
			switch {
			case !i.IsJob:
				peers = append(peers, i.Peer)
			case len(peers) == 0 || peers[len(peers)-1] != i.Peer:
				t.Fatal("a job of another connection")
			default:
				came = append(came, listens{i.Peer, string(c.s.AppendHandle(nil, i.Job.Number))})
			}
		}
		maps.DeleteFunc(throughout, func(l listens, _ bool) bool {
			return !c.throughoutPeers[l.peer] || !c.throughoutJobs[l.handle]
		})
		once(c, peers, c.throughoutPeers)
		once(c, came, throughout)
	})
}

// TestWalksAmongOthers has many goroutines change everything while others walk, for the race detector. What
// stays comes once.
func TestWalksAmongOthers(t *testing.T) {
	s := New(perl())
	var fx Effects
	const staying = 500
	stay := &Peer{FD: 1}
	s.Connect(stay)
	for i := range staying {
		s.Handle(stay, codec.SubmitJobBg, payload.Borrow([]byte("stay"+strconv.Itoa(i%3)+"\x00"+strconv.Itoa(i)+"\x00")), start, &fx)
	}
	var ended atomic.Bool
	var others, walkers sync.WaitGroup
	for n := range 4 {
		others.Go(func() {
			var fx Effects
			for i := 0; !ended.Load(); i++ {
				p := &Peer{FD: 10*i + n + 2}
				s.Connect(p)
				f := "f" + strconv.Itoa(i%50)
				s.Handle(p, codec.CanDo, payload.Borrow([]byte(f)), time.Now(), &fx)
				s.Handle(p, codec.SubmitJob, payload.Borrow([]byte(f+"\x00u\x00")), time.Now(), &fx)
				s.Handle(p, codec.GrabJob, payload.Borrow(nil), time.Now(), &fx)
				s.Disconnect(p, time.Now(), &fx)
				for k := range fx.Packets {
					fx.Packets[k].Body.Release()
				}
				fx.Reset()
			}
		})
	}
	for range 2 {
		walkers.Go(func() {
			for range 20 {
				came := map[string]int{}
				for _, j := range s.Jobs() {
					came[j.Unique]++
				}
				for i := range staying {
					if n := came[strconv.Itoa(i)]; n != 1 {
						t.Errorf("job %d came %d times", i, n)
						return
					}
				}
				functions := map[string]int{}
				for _, f := range s.Functions() {
					functions[f.Name]++
				}
				if functions["stay0"] != 1 || functions["stay1"] != 1 || functions["stay2"] != 1 {
					t.Errorf("functions %v", functions)
				}
				peers := 0
				for _, p := range s.Peers() {
					if p.Peer == stay {
						peers++
					}
				}
				if peers != 1 {
					t.Errorf("the peer that stays came %d times", peers)
				}
				s.Clients()
				s.Count()
			}
		})
	}
	walkers.Wait()
	ended.Store(true)
	others.Wait()
}

// TestWalkOfAlmostEmptyPages: a step ends although there is next to nothing in what it went through.
func TestWalkOfAlmostEmptyPages(t *testing.T) {
	s := New(perl())
	p := &Peer{}
	var fx Effects
	const jobs = 100 * pageJobs
	for range jobs {
		s.Handle(p, codec.SubmitJobBg, payload.Borrow([]byte("f\x00\x00")), start, &fx)
	}
	var handles []string
	for i := range fx.Packets {
		handles = append(handles, string(fx.Args(&fx.Packets[i])))
	}
	fx.Reset()
	for i, h := range handles {
		if i%pageJobs != 0 {
			s.Cancel(h, start, &fx)
		}
	}
	walk := s.WalkJobs()
	steps, left := 0, 0
	for more := true; more; steps++ {
		var found []JobInfo
		found, more = walk.Next(nil)
		left += len(found)
	}
	if want := jobs / pageJobs / walkPages; left != jobs/pageJobs || steps <= want || steps > want+2 {
		t.Errorf("%d jobs in %d steps", left, steps)
	}
}

// Workers are counted for each of their functions, by steps of a bounded size, also those that can do very
// many.
func TestWalkWorkers(t *testing.T) {
	s := New(perl())
	var fx Effects
	do := func(p *Peer, packet codec.Type, args ...string) {
		s.Handle(p, packet, payload.Borrow([]byte(strings.Join(args, "\x00"))), start, &fx)
		for i := range fx.Packets {
			fx.Packets[i].Body.Release()
		}
		fx.Reset()
	}
	connect := func() *Peer {
		p := &Peer{}
		s.Connect(p)
		return p
	}
	c := connect()
	want := map[string]WorkerCount{}
	add := func(n, from int, state string) {
		w := connect()
		for i := range n {
			name := fmt.Sprint("f", from+i)
			do(w, codec.CanDo, name)
			count := want[name]
			switch state {
			case "asleep":
				count.Asleep++
			case "busy":
				count.Busy++
			default:
				continue
			}
			want[name] = count
		}
		switch state {
		case "asleep":
			do(w, codec.PreSleep)
		case "busy":
			do(c, codec.SubmitJobBg, fmt.Sprint("f", from), "", "x")
			do(w, codec.GrabJob)
		case "gone":
			s.Disconnect(w, start, &fx)
			fx.Reset()
		}
	}
	for i := range 300 {
		add(3, i, []string{"busy", "asleep", "awake", "gone"}[i%4])
	}
	add(5000, 0, "busy")
	add(5000, 2000, "busy")
	walk := s.WalkWorkers()
	for more := true; more; {
		more = walk.Next()
		if walk.Looked() > walkPeers+(walkAbilities+5000)/8 {
			t.Errorf("a step looks at %d", walk.Looked())
		}
	}
	if got := walk.Counts(); !maps.Equal(got, want) {
		t.Errorf("%d functions, want %d: f0 %v, want %v; f2001 %v, want %v", len(got), len(want), got["f0"], want["f0"], got["f2001"], want["f2001"])
	}
}
