package reactor

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/sched"
	"gearloop/test/await"
	"gearloop/test/wire"
)

// While all the time other loops run, peers of all kinds come, and end in the middle of anything: they leave, reset
// their connections, shut down one side, stop in the middle of a packet or do not read; operators disconnect them and
// cancel their jobs. Whatever arrives is what somebody has sent, and nothing is left in the end.
func TestEndsOfAllKindsWhileLoopsComeAndGo(t *testing.T) {
	const actors, rounds = 8, 4
	r := newRestlessRig(t, false, narrow, func(s *setup) {
		s.Log = slog.New(slog.NewTextHandler(failOn{t}, nil))
		s.MaxOutbound, s.MaxMemory = 2<<20, 16<<20
	})
	stop := r.restless()
	defer stop()
	var ways []func() *wire.Conn
	for _, connect := range r.ways(false) {
		ways = append(ways, connect)
	}
	end := make(chan struct{})
	var acting, operating sync.WaitGroup
	for i := range actors {
		acting.Go(func() {
			a := actor{t: t, rng: rand.New(rand.NewPCG(uint64(i), 3))}
			for range rounds {
				a.cut = false
				a.c = ways[a.rng.IntN(len(ways))]()
				if i%2 == 0 {
					a.work()
				} else {
					a.submit()
				}
				a.leave()
			}
		})
	}
	operating.Go(func() { r.operate(end) })
	acting.Wait()
	close(end)
	operating.Wait()
	r.none()
	r.sched.DropUnwanted(time.Now())
	noPayload(t)
	if n := r.sched.Count(); n.Queued+n.Running+n.Peers+n.Abilities > 0 {
		t.Errorf("left: %+v", n)
	}
	wire.Await(t, "no bytes are charged", func() bool {
		return r.server.reading.Load()+r.server.buffered()+r.sched.Fanned() == 0
	})
}

// operate disconnects peers and cancels jobs until the end.
func (r *tlsRig) operate(end <-chan struct{}) {
	rng := rand.New(rand.NewPCG(4, 5))
	for {
		select {
		case <-end:
			return
		case <-time.After(await.Scaled(10 * time.Millisecond)):
		}
		l := r.server.allLoops()[rng.IntN(4)]
		switch rng.IntN(3) {
		case 0:
			l.do(func() {
				for c := range l.conns {
					r.server.Disconnect(&c.Peer)
					return
				}
			})
		case 1:
			walk, jobs := r.sched.WalkJobs(), []sched.JobInfo(nil)
			for more := true; more; {
				jobs, more = walk.Next(jobs)
			}
			for _, j := range jobs {
				if handle := string(r.sched.AppendHandle(nil, j.Number)); rng.IntN(4) == 0 {
					r.server.Act(func(now time.Time, fx *sched.Effects) { r.sched.Cancel(handle, now, fx) })
				}
			}
		default:
			r.server.ReviewRights()
		}
	}
}

// actor is a peer that does things at random.
type actor struct {
	t   *testing.T
	rng *rand.Rand
	c   *wire.Conn
	out []byte
	cut bool // sending has failed, perhaps in the middle of a packet: what follows would be taken for its rest
}

// content returns bytes that isContent recognizes, few or many.
func (a *actor) content() string {
	n := a.rng.IntN(100)
	switch a.rng.IntN(12) {
	case 0, 1, 2:
		n = a.rng.IntN(20 << 10)
	case 3:
		n = a.rng.IntN(700 << 10)
	}
	seed := a.rng.IntN(26)
	return fmt.Sprintf("%d %d %s", seed, n, strings.Repeat(string(rune('a'+seed)), n))
}

// isContent reports whether content has returned these bytes.
func isContent(b []byte) bool {
	first, rest, _ := bytes.Cut(b, []byte(" "))
	second, rest, _ := bytes.Cut(rest, []byte(" "))
	seed, err := strconv.Atoi(string(first))
	n, err2 := strconv.Atoi(string(second))
	return err == nil && err2 == nil && n == len(rest) && bytes.Count(rest, []byte{byte('a' + seed)}) == n
}

func (a *actor) add(t codec.Type, args ...string) { a.out = codec.AppendRequest(a.out, t, args...) }

// send sends what was added, and reports whether that went well.
func (a *actor) send() bool {
	a.c.SetWriteDeadline(time.Now().Add(await.Scaled(100 * time.Millisecond)))
	_, err := a.c.Write(a.out)
	a.out = a.out[:0]
	a.cut = a.cut || err != nil
	return err == nil
}

// receive takes the next packet, and looks whether its content is right.
func (a *actor) receive() (p wire.Packet, ok bool) {
	in := a.c.Reader()
	a.c.SetReadDeadline(time.Now().Add(await.Scaled(100 * time.Millisecond)))
	p, err := codec.ReadResponse(in, 1<<32)
	if err != nil {
		return p, false
	}
	content := p.Data
	switch p.Type {
	case codec.JobAssign:
		content = []byte(p.Args(3)[2])
	case codec.WorkData, codec.WorkComplete:
		content = []byte(p.Args(2)[1])
	case codec.EchoRes:
	case codec.JobCreated, codec.WorkFail, codec.WorkStatus:
		if !strings.HasPrefix(string(p.Data), "H:rig:") {
			a.t.Errorf("got %v", p)
		}
		return p, true
	case codec.Noop, codec.NoJob:
		if len(p.Data) > 0 {
			a.t.Errorf("got %v", p)
		}
		return p, true
	case codec.Error:
		return p, true
	default:
		a.t.Errorf("got %v", p)
		return p, false
	}
	if !isContent(content) {
		a.t.Errorf("got %v with %d bytes: %.100q", p.Type, len(content), content)
	}
	return p, true
}

// submit submits some jobs, and reads some of the answers.
func (a *actor) submit() {
	n := 1 + a.rng.IntN(30)
	if a.rng.IntN(8) == 0 {
		n = 150 // of which many have the same unique id, for a fan
	}
	for range n {
		unique := ""
		if n == 150 || a.rng.IntN(4) == 0 {
			unique = fmt.Sprint("u", a.rng.IntN(2))
		}
		types := []codec.Type{codec.SubmitJob, codec.SubmitJobHigh, codec.SubmitJobLow, codec.EchoReq}
		if t := types[a.rng.IntN(len(types))]; t == codec.EchoReq {
			a.add(t, a.content())
		} else {
			a.add(t, fmt.Sprint("f", a.rng.IntN(3)), unique, a.content())
		}
		if a.rng.IntN(3) > 0 && !a.send() {
			return
		}
	}
	if !a.send() {
		return
	}
	for range a.rng.IntN(3 * n) {
		if _, ok := a.receive(); !ok {
			return
		}
	}
}

// work does some jobs.
func (a *actor) work() {
	all := a.rng.IntN(3) == 0
	for i := range 3 {
		if a.rng.IntN(3) == 0 {
			a.add(codec.CanDoTimeout, fmt.Sprint("f", i), "1")
		} else {
			a.add(codec.CanDo, fmt.Sprint("f", i))
		}
	}
	if all {
		a.add(codec.AllYours)
	} else {
		a.add(codec.GrabJob)
	}
	for range 2 + a.rng.IntN(60) {
		if !a.send() {
			return
		}
		p, ok := a.receive()
		if !ok {
			return
		}
		switch p.Type {
		case codec.NoJob:
			a.add(codec.PreSleep)
		case codec.Noop:
			a.add(codec.GrabJob)
		case codec.JobAssign:
			args := p.Args(3)
			for range a.rng.IntN(4) {
				a.add(codec.WorkData, args[0], args[2])
			}
			if a.rng.IntN(10) == 0 {
				a.add(codec.WorkFail, args[0])
			} else {
				a.add(codec.WorkComplete, args[0], args[2])
			}
			if !all {
				a.add(codec.GrabJob)
			}
		}
	}
}

// leave ends the connection somehow.
func (a *actor) leave() {
	if a.rng.IntN(3) == 0 && !a.cut { // in the middle of a packet
		a.out = a.out[:0]
		a.add(codec.EchoReq, a.content())
		a.out = a.out[:a.rng.IntN(len(a.out))]
		a.send()
	}
	a.out = a.out[:0]
	switch a.rng.IntN(4) {
	case 0:
		a.c.Reset()
	case 1:
		if c, ok := a.c.Conn.(interface{ CloseWrite() error }); ok && c.CloseWrite() == nil {
			for ok := true; ok; {
				_, ok = a.receive()
			}
		}
	case 2:
		if a.send() {
			time.Sleep(time.Duration(a.rng.IntN(int(10 * time.Millisecond))))
		}
	}
	a.c.Close()
}
