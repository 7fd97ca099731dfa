package systest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"gearloop/codec"
	"gearloop/test/wire"
)

// crashFunctions are the functions of the jobs of crash tests.
var crashFunctions = []string{"resize", "mail", "index"}

// crashPeer is a connection to a server that may die at any moment. The end of the connection is no fault.
type crashPeer struct {
	*wire.Conn
	l    *ledger
	rand *rand.Rand
	stop *atomic.Bool // time to go
	out  []byte
}

// peer connects; nil when the server is not there any more.
func (l *ledger) peer(addr string, r *rand.Rand, stop *atomic.Bool) *crashPeer {
	c, err := net.DialTimeout("tcp", addr, wire.Limit)
	if err != nil {
		return nil
	}
	return &crashPeer{Conn: wire.New(l.t, c), l: l, rand: r, stop: stop}
}

// send sends packets. false: the connection has ended.
func (p *crashPeer) send() bool {
	p.SetWriteDeadline(time.Now().Add(wire.Limit))
	_, err := p.Write(p.out)
	p.out = p.out[:0]
	return p.lives(err)
}

func (p *crashPeer) add(t codec.Type, args ...string) {
	p.out = codec.AppendRequest(p.out, t, args...)
}

// lives reports whether err is nil. An error other than the end of the connection is a fault.
func (p *crashPeer) lives(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.l.t.Errorf("the server does not answer: %v", err)
	}
	return err == nil
}

// receive returns the next packet.
func (p *crashPeer) receive() (wire.Packet, bool) {
	packet, err := p.Receive()
	return packet, p.lives(err)
}

// asked is a request whose answer a client awaits.
type asked struct {
	sub  *crashSubmission // or
	want codec.Type
	data string
}

// client submits jobs in bursts of packets until it is stopped, the server dies, or it has sent most of them.
func (p *crashPeer) client(number, most int) {
	defer p.Close()
	order := 0
	for sent := 0; sent < most && !p.stop.Load(); {
		var awaited []asked
		for range 1 + p.rand.IntN(40) {
			switch n := p.rand.IntN(100); {
			case n < 4:
				text := strconv.Itoa(n)
				p.add(codec.EchoReq, text)
				awaited = append(awaited, asked{want: codec.EchoRes, data: text})
			case n < 8:
				p.add(codec.GetStatus, "H:nobody:1")
				awaited = append(awaited, asked{want: codec.StatusRes, data: "H:nobody:1\x000"})
			default:
				s := p.l.random(p.rand)
				s.client, s.order = number, order
				order++
				p.l.submit(s)
				p.out = s.packet(p.out)
				awaited = append(awaited, asked{sub: s})
				sent++
			}
		}
		if !p.send() || !p.answers(awaited) {
			return
		}
		time.Sleep(time.Duration(p.rand.IntN(4)) * time.Millisecond)
	}
}

// answers checks the answers, which must come in the order of the requests.
func (p *crashPeer) answers(awaited []asked) bool {
	for _, a := range awaited {
		packet, ok := p.receive()
		for ok && (packet.Type == codec.WorkComplete || packet.Type == codec.WorkFail || packet.Type == codec.WorkStatus) {
			packet, ok = p.receive() // of a foreground job
		}
		switch {
		case !ok:
			return false
		case a.sub == nil && (packet.Type != a.want || !strings.HasPrefix(string(packet.Data), a.data)):
			p.l.t.Errorf("got %v, want %v %q", packet, a.want, a.data)
			return false
		case a.sub == nil:
		case packet.Type != codec.JobCreated:
			p.l.t.Errorf("%v was answered with %v", a.sub, packet)
			return false
		default:
			p.l.acknowledged(a.sub, string(packet.Data))
		}
	}
	return true
}

// random returns a submission of any kind.
func (l *ledger) random(r *rand.Rand) *crashSubmission {
	s := &crashSubmission{function: crashFunctions[r.IntN(len(crashFunctions))]}
	kinds := []codec.Type{
		codec.SubmitJobBg, codec.SubmitJobBg, codec.SubmitJobBg, codec.SubmitJobHighBg, codec.SubmitJobHighBg,
		codec.SubmitJobLowBg, codec.SubmitJobLowBg, codec.SubmitJobEpoch, codec.SubmitReduceJobBack, codec.SubmitJob,
		codec.SubmitJobHigh, codec.SubmitJobLow,
	}
	if l.backgroundOnly.Load() {
		kinds = kinds[:len(kinds)-3]
	}
	switch s.typ = kinds[r.IntN(len(kinds))]; s.typ {
	case codec.SubmitJobEpoch:
		s.due = time.Now().Unix() + int64(r.IntN(3))
	case codec.SubmitReduceJobBack:
		s.reducer = "reducer " + strconv.Itoa(r.IntN(3))
	}
	switch n := r.IntN(100); {
	case n < 10:
	case n < 75:
		s.size = 10 + r.IntN(500)
	case n < 95:
		s.size = 10 + r.IntN(20<<10)
	case n < 98:
		s.size = 10 + r.IntN(256<<10)
	default:
		s.size = 256<<10 + r.IntN(44<<10)
	}
	switch n := r.IntN(100); {
	case n < 30:
		s.unique = fmt.Sprintf("%d of run %d", r.IntN(40), max(1, l.now()-r.IntN(2)))
	case n < 33:
		s.unique = strings.Repeat("long ", 12) + strconv.Itoa(r.IntN(99))
	case n < 36:
		s.unique, s.size = "-", 20+r.IntN(2000)
	}
	return s
}

func (l *ledger) now() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.run
}

// crashWorker is a worker with its own habits.
type crashWorker struct {
	*crashPeer
	abilities []string
	calm      bool // it is the only one, and nobody submits
	held      []*assignment
	told      []*crashJob    // their end was sent, and nothing was received since
	last      map[stream]int // order of the last job of each
	waiting   map[stream]int // if calm: jobs that must be there, of all connections
	counted   map[*crashJob]bool
	done      int
}

// stream is a set of jobs with a defined order: those of one connection, function and priority.
type stream struct {
	client   int
	function string
	rank     int
}

func (p *crashPeer) asWorker(abilities ...string) *crashWorker {
	w := &crashWorker{crashPeer: p, abilities: abilities, last: map[stream]int{}}
	for _, f := range abilities {
		p.add(codec.CanDo, f)
	}
	return w
}

// grab asks for a job. none: there is none. false: the connection has ended.
func (w *crashWorker) grab() (a *assignment, none, ok bool) {
	how := []codec.Type{codec.GrabJob, codec.GrabJobUniq, codec.GrabJobAll}[w.rand.IntN(3)]
	w.add(how)
	if !w.send() {
		return nil, false, false
	}
	packet, ok := w.receive()
	for ok && packet.Type == codec.Noop {
		packet, ok = w.receive()
	}
	if !ok {
		return nil, false, false
	}
	w.l.ended(w.told)
	w.told = w.told[:0]
	a = &assignment{typ: packet.Type}
	var args []string
	switch packet.Type {
	case codec.NoJob:
		return nil, true, true
	case codec.JobAssign:
		args = packet.Args(3)
	case codec.JobAssignUniq:
		args = packet.Args(4)
		a.hasUnique, a.unique = true, args[2]
		a.hasReducer = how == codec.GrabJobAll
	case codec.JobAssignAll:
		args = packet.Args(5)
		a.hasUnique, a.unique, a.hasReducer, a.reducer = true, args[2], true, args[3]
	default:
		w.l.t.Errorf("got %v for %v", packet, how)
		return nil, false, false
	}
	a.handle, a.function, a.argument = args[0], args[1], []byte(args[len(args)-1])
	w.l.assigned(a)
	a.argument = nil
	w.inOrder(a)
	w.held = append(w.held, a)
	return a, false, true
}

// inOrder checks that a job comes after those submitted before it.
func (w *crashWorker) inOrder(a *assignment) {
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	if !w.l.ordered(a.job) {
		return
	}
	s := a.job.sub // which may have become known only now
	for rank := range s.rank() {
		if n := w.waiting[stream{function: a.function, rank: rank}]; n > 0 {
			w.l.fault("%v is handed out while %d jobs of a higher priority wait", s, n)
		}
	}
	if w.counted[a.job] {
		w.waiting[stream{function: a.function, rank: s.rank()}]--
		delete(w.counted, a.job)
	}
	if !a.firstHandOut {
		return
	}
	newestFirst := s.rank() == 0 && w.l.dialect == "perl"
	if newestFirst && !w.calm {
		return
	}
	in := stream{s.client, s.function, s.rank()}
	last, known := w.last[in]
	if known && (last > s.order) != newestFirst {
		w.l.fault("%v (the %dth of its connection) is handed out after the %dth", s, s.order, last)
	}
	w.last[in] = s.order
}

// expect tells the only worker which jobs must exist.
func (w *crashWorker) expect(jobs []*crashJob) {
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	w.calm, w.waiting, w.counted = true, map[stream]int{}, map[*crashJob]bool{}
	for _, j := range jobs {
		if w.l.ordered(j) {
			w.waiting[stream{function: j.sub.function, rank: j.sub.rank()}]++
			w.counted[j] = true
		}
	}
}

// report queues the end of a job, or something before it.
func (w *crashWorker) report(a *assignment) {
	if w.rand.IntN(5) == 0 {
		w.add(codec.WorkStatus, a.handle, "1", "2")
	}
	w.l.ending(a.job)
	w.told = append(w.told, a.job)
	switch n := w.rand.IntN(10); {
	case n < 7:
		w.add(codec.WorkComplete, a.handle, "done")
	case n < 8:
		w.add(codec.WorkException, a.handle, "no")
		if w.l.dialect == "perl" {
			w.add(codec.WorkFail, a.handle)
		}
	default:
		w.add(codec.WorkFail, a.handle)
	}
	w.done++
}

// reportAll reports the ends of all its jobs, in random order.
func (w *crashWorker) reportAll() {
	w.rand.Shuffle(len(w.held), func(i, k int) { w.held[i], w.held[k] = w.held[k], w.held[i] })
	for _, a := range w.held {
		w.report(a)
	}
	w.held = nil
}

// work does jobs until it is stopped, the server dies, or it disconnects with jobs in hand. It reports
// whether it did that.
func (w *crashWorker) work() bool {
	defer w.Close()
	vanishes := 2 + w.rand.IntN(60)
	for !w.stop.Load() {
		_, none, ok := w.grab()
		switch {
		case !ok:
			return false
		case none:
			w.reportAll()
			w.add(codec.PreSleep)
			if !w.send() || !w.sleep() {
				return false
			}
			continue
		}
		if w.done >= vanishes {
			if w.rand.IntN(2) == 0 {
				w.Reset()
			}
			return true
		}
		if w.l.backlog() < 1500 {
			time.Sleep(time.Duration(w.rand.IntN(2000)) * time.Microsecond)
		}
		if w.rand.IntN(3) > 0 || len(w.held) > 4 {
			w.reportAll() // sent with the next GRAB_JOB
		}
	}
	if w.rand.IntN(2) == 0 {
		w.reportAll()
		return w.send() && false
	}
	return false
}

// sleep waits for a packet.
func (w *crashWorker) sleep() bool {
	for !w.stop.Load() {
		in := w.Reader()
		w.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		_, err := in.Peek(1)
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return err == nil
		}
	}
	return true
}
