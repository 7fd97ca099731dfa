package systest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// cyclesVariable is the number of cycles of a crash test, seedVariable the seed of its random numbers.
const (
	cyclesVariable = "GEARLOOP_CRASH"
	seedVariable   = "GEARLOOP_CRASH_SEED"
)

// crashTests calls f with each dialect and sync mode, with its share of the cycles; fewer than usual if none
// are asked for.
func crashTests(t *testing.T, usual int, f func(c *crashTest, cycles int)) {
	t.Parallel()
	cycles, seed := usual, uint64(time.Now().UnixNano())
	if text := os.Getenv(cyclesVariable); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%s: %v", cyclesVariable, err)
		}
		cycles = n
	}
	if text := os.Getenv(seedVariable); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
		seed = n
	}
	kinds := []struct{ dialect, sync string }{
		{"perl", "always"}, {"c", "interval=5ms"}, {"perl", "none"}, {"c", "always"},
	}
	for i, kind := range kinds {
		t.Run(kind.dialect+" "+kind.sync, func(t *testing.T) {
			t.Parallel()
			t.Logf("%s=%d", seedVariable, seed)
			c := &crashTest{
				t: t, l: newLedger(t, kind.dialect), sync: kind.sync, dir: filepath.Join(t.TempDir(), "data"),
				rand: rand.New(rand.NewPCG(seed, uint64(i))),
			}
			f(c, (cycles+i)/len(kinds))
			if t.Failed() {
				return
			}
			c.drain()
			t.Logf("%d runs, %d killed while they started; %d acknowledgements, %d hand-outs",
				c.l.run, c.inStarts, c.l.acked, c.l.handed)
		})
	}
}

// A server is killed repeatedly at any moment. Everything acknowledged is done, as submitted and in order. No
// handle is used again, and ended jobs do not return. The death of a process loses nothing in any sync mode.
func TestCrash(t *testing.T) {
	crashTests(t, 60, func(c *crashTest, cycles int) {
		for range cycles {
			if c.cycle(); c.t.Failed() {
				return
			}
		}
	})
}

// Each life of a server is short and ends with a kill under load; then up to three others are killed while
// they start.
func TestCrashInStarts(t *testing.T) {
	crashTests(t, 24, func(c *crashTest, cycles int) {
		for range cycles {
			c.start()
			c.look()
			stop, leave := c.people()
			time.Sleep(time.Duration(c.rand.IntN(60_000)) * time.Microsecond)
			killed := c.kill()
			stop.Store(true)
			leave()
			c.over(killed)
			c.killInStarts()
			if c.t.Failed() {
				return
			}
		}
	})
}

// crashTest is a directory and its successive servers.
type crashTest struct {
	t       *testing.T
	l       *ledger
	sync    string // --sync
	dir     string
	rand    *rand.Rand
	p       *program
	addr    string
	clients int

	inStarts int // runs that were killed while they started
}

// launch begins a run of the server.
func (c *crashTest) launch() {
	c.l.begin()
	c.p = launch(c.t, command(peers.Binary(c.t), []string{"GORACE=atexit_sleep_ms=0"},
		"serve", "--dialect", c.l.dialect, "--listen", "127.0.0.1:0", "--data-dir", c.dir, "--sync", c.sync))
}

// start begins a run and waits until the server listens.
func (c *crashTest) start() {
	c.t.Helper()
	c.launch()
	c.addr = listening(c.t, c.p)
}

// listening returns the address of a server that was launched.
func listening(t *testing.T, p *program) (addr string) {
	t.Helper()
	wire.Await(t, "it listens, or has ended", func() bool {
		line, _, whole := strings.Cut(p.stdout.String(), "\n")
		if !whole {
			return p.isDone()
		}
		addr = strings.TrimPrefix(line, "listening on ")
		return true
	})
	if addr == "" {
		t.Fatalf("%q has ended: %s", p.cmd.Args, &p.stderr)
	}
	return addr
}

// kill kills the server.
func (c *crashTest) kill() (at time.Time) {
	at = time.Now()
	syscall.Kill(c.p.cmd.Process.Pid, syscall.SIGKILL)
	return at
}

// over records the end of a run. Nobody is connected any more.
func (c *crashTest) over(killed time.Time) {
	c.t.Helper()
	r := c.p.wait()
	graceful := r.code == 0
	if !graceful && r.code != -1 {
		c.t.Errorf("exit status %d", r.code)
	}
	for line := range strings.Lines(r.stderr) {
		if !strings.Contains(line, "level=INFO") && !strings.Contains(line, "ending with jobs left") {
			c.t.Errorf("run %d logged %s", c.l.run, line)
		}
	}
	c.l.end(graceful, killed)
}

// cycle is one run of the server.
func (c *crashTest) cycle() {
	c.t.Helper()
	mode := c.rand.IntN(10)
	if mode == 0 {
		c.killInStarts()
		return
	}
	// A graceful end waits for foreground jobs.
	c.l.backgroundOnly.Store(mode == 2)
	c.start()
	c.look()
	stop, leave := c.people()
	time.Sleep(time.Duration(c.rand.IntN(250_000)) * time.Microsecond)
	var killed time.Time
	switch mode {
	case 1: // while it ends
		c.p.cmd.Process.Signal(syscall.SIGTERM)
		time.Sleep(time.Duration(c.rand.IntN(20_000)) * time.Microsecond)
		killed = c.kill()
	case 2: // not at all
		c.p.cmd.Process.Signal(syscall.SIGUSR1)
		time.Sleep(time.Duration(c.rand.IntN(20_000)) * time.Microsecond)
		stop.Store(true)
	case 3: // when all have disconnected and everything is idle
		stop.Store(true)
		leave()
		time.Sleep(lasting + lasting/10)
		killed = c.kill()
	default:
		killed = c.kill()
	}
	leave()
	c.over(killed)
	if mode < 4 {
		c.check()
	}
}

// people are clients and workers that run until they are stopped or the server dies. leave waits for all of
// them.
func (c *crashTest) people() (stop *atomic.Bool, leave func()) {
	stop = new(atomic.Bool)
	var all sync.WaitGroup
	for range 3 {
		number, forClient, r := c.clients, c.another(), c.another()
		c.clients++
		all.Go(func() {
			if p := c.l.peer(c.addr, forClient, stop); p != nil {
				p.client(number, 300)
			}
		})
		all.Go(func() {
			for vanished := true; vanished && !stop.Load(); {
				p := c.l.peer(c.addr, r, stop)
				if p == nil {
					return
				}
				abilities := crashFunctions[:1+r.IntN(len(crashFunctions))]
				if r.IntN(2) == 0 {
					abilities = crashFunctions
				}
				vanished = p.asWorker(abilities...).work()
			}
		})
	}
	return stop, all.Wait
}

// killInStarts kills up to three servers in a row while they start: within the first 25 ms, or just after the
// directory has changed, which is when a segment is begun.
func (c *crashTest) killInStarts() {
	c.t.Helper()
	for range 1 + c.rand.IntN(3) {
		before := c.changed()
		c.launch()
		if c.rand.IntN(2) == 0 {
			time.Sleep(time.Duration(c.rand.IntN(25_000)) * time.Microsecond)
		} else {
			wire.Await(c.t, "the directory changes, or the server has ended", func() bool {
				return !c.changed().Equal(before) || c.p.isDone()
			})
			time.Sleep(time.Duration(c.rand.IntN(1500)) * time.Microsecond)
		}
		c.over(c.kill())
		c.inStarts++
	}
}

// changed returns when a file of the directory was made, renamed or removed last.
func (c *crashTest) changed() time.Time {
	info, err := os.Stat(c.dir)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// another returns random numbers of their own for another goroutine.
func (c *crashTest) another() *rand.Rand {
	return rand.New(rand.NewPCG(c.rand.Uint64(), c.rand.Uint64()))
}

// check checks the directory, which no crash may damage.
func (c *crashTest) check() {
	c.t.Helper()
	if r := run(c.t, nil, "store", "check", c.dir); r.code != 0 {
		c.t.Errorf("store check after run %d: %s%s", c.l.run, r.stdout, r.stderr)
	}
}

// look checks which jobs have returned, before anybody else connects.
func (c *crashTest) look() {
	c.t.Helper()
	living := c.l.living()
	c.rand.Shuffle(len(living), func(i, k int) { living[i], living[k] = living[k], living[i] })
	client := wire.Dial(c.t, c.addr)
	defer client.Close()
	for _, j := range living[:min(len(living), 50)] {
		client.Send(codec.GetStatus, j.handle)
		if args := client.WantType(codec.StatusRes).Args(5); args[0] != j.handle || args[1] != "1" || args[2] != "0" {
			c.t.Errorf("run %d: the status of a job acknowledged in run %d, seen in run %d, ended in run %d is %q",
				c.l.run, j.ackRun, j.seenRun, j.endRun, args)
		}
	}
	for _, handle := range c.l.gone(20) {
		client.Send(codec.GetStatus, handle)
		if args := client.WantType(codec.StatusRes).Args(5); args[1] != "0" {
			c.t.Errorf("run %d: the status of a job that is gone is %q", c.l.run, args)
		}
	}
	asked := 0
	for _, j := range living {
		if j.sub == nil || j.sub.unique == "" || j.sub.unique == "-" || asked == 8 || c.ambiguous(j) {
			continue
		}
		asked++
		s := &crashSubmission{
			typ: codec.SubmitJobBg, function: j.sub.function, unique: j.sub.unique, size: 10, client: -1,
		}
		c.l.submit(s)
		client.Raw(s.packet(nil))
		handle := string(client.WantType(codec.JobCreated).Data)
		c.l.acknowledged(s, handle)
		if handle != j.handle {
			c.t.Errorf("run %d: the unique id of job %s gives job %s", c.l.run, j.handle, handle)
		}
	}
	var stop atomic.Bool
	p := c.l.peer(c.addr, c.another(), &stop)
	if p == nil {
		c.t.Fatal("it accepts no connection")
	}
	defer p.Close()
	w := p.asWorker(crashFunctions[c.rand.IntN(len(crashFunctions))])
	w.expect(c.l.living())
	for range c.rand.IntN(40) {
		if _, none, ok := w.grab(); none {
			break
		} else if !ok {
			c.t.Fatalf("run %d: the connection of a worker ends", c.l.run)
		}
		w.reportAll()
	}
	// The last end is in the same packet as a request whose answer is awaited.
	w.add(codec.GetStatus, "H:nobody:1")
	if w.send() {
		w.receive()
		c.l.ended(w.told)
	}
}

// ambiguous reports whether there was another job with the same unique id, which may be back.
func (c *crashTest) ambiguous(j *crashJob) bool {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	return c.l.predecessor(j)
}

// drain does all remaining jobs, and requires that nothing is left then.
func (c *crashTest) drain() {
	c.start()
	c.look()
	var stop atomic.Bool
	admin := wire.Dial(c.t, c.addr)
	p := c.l.peer(c.addr, c.another(), &stop)
	defer p.Close()
	w := p.asWorker(crashFunctions...)
	w.expect(c.l.living())
	wire.Await(c.t, "all jobs are done", func() bool {
		for !c.t.Failed() {
			_, none, ok := w.grab()
			if !ok {
				c.t.Fatal("the connection of the worker ends")
			}
			if none {
				break
			}
			w.reportAll()
		}
		for _, line := range admin.Table("status") {
			if !strings.Contains(line, "\t0\t0\t") {
				return c.t.Failed()
			}
		}
		return true
	})
	c.l.drained()
	c.p.cmd.Process.Signal(syscall.SIGUSR1)
	c.over(time.Time{})
	c.check()
	if left, _ := filepath.Glob(filepath.Join(c.dir, "*.arg")); len(left) > 0 {
		c.t.Errorf("arguments are left: %v", left)
	}
	c.start()
	for _, line := range wire.Dial(c.t, c.addr).Table("status") {
		c.t.Errorf("a job is back after all were done: %q", line)
	}
	var size int64
	files, err := os.ReadDir(c.dir)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, f := range files {
		if info, err := f.Info(); err == nil {
			size += info.Size()
		}
	}
	if most := int64(16 << 20); size > most {
		c.t.Errorf("%d bytes on disk, with no job: %v", size, fmt.Sprint(files))
	}
	c.kill()
	c.over(time.Now())
}
