package systest

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// What the log says when jobs can't be stored, and when they are again.
const (
	saysRefused = "background jobs can't be stored"
	saysAgain   = "background jobs are stored again"
)

// queueFull is the code of the ERROR that refuses a job.
func queueFull(dialect string) string {
	if dialect == "c" {
		return "QUEUE_ERROR"
	}
	return "queue_full"
}

// offering is a client that submits background jobs and records which were accepted.
type offering struct {
	t        *testing.T
	dialect  string
	c        *wire.Conn
	next     int
	handles  []string // of the accepted jobs
	accepted []string // their arguments
}

func (k *keeper) offering(addr string) *offering {
	return &offering{t: k.t, dialect: k.dialect, c: wire.Dial(k.t, addr)}
}

// offer submits a job of this size and reports whether it was accepted.
func (o *offering) offer(size int) bool {
	o.t.Helper()
	argument := fmt.Sprintf("%06d", o.next) + strings.Repeat("x", max(0, size-6))
	o.next++
	o.c.Send(codec.SubmitJobBg, "f", "", argument)
	p := o.c.Next()
	switch {
	case p.Type == codec.JobCreated:
		o.handles, o.accepted = append(o.handles, string(p.Data)), append(o.accepted, argument)
		return true
	case p.Type != codec.Error || p.Args(2)[0] != queueFull(o.dialect):
		o.t.Fatalf("got %v", p)
	}
	return false
}

// untilRefused submits jobs until one is refused.
func (o *offering) untilRefused(size int) {
	o.t.Helper()
	for began := time.Now(); o.offer(size); {
		if time.Since(began) > wire.Limit {
			o.t.Fatalf("%d jobs of %d bytes were taken", len(o.accepted), size)
		}
	}
}

// untilTaken submits jobs until one is accepted.
func (o *offering) untilTaken(size int) {
	o.t.Helper()
	wire.Await(o.t, "a job is taken", func() bool {
		time.Sleep(10 * time.Millisecond)
		return o.offer(size)
	})
}

// foreground wants a job in the foreground to be done.
func foreground(t *testing.T, addr string) {
	t.Helper()
	client, worker := wire.Dial(t, addr), wire.Dial(t, addr)
	worker.Send(codec.CanDo, "foreground")
	for range 3 {
		handle := client.Submit(codec.SubmitJob, "foreground", "", "x")
		if got, _ := worker.Grab(); got != handle {
			t.Fatalf("got job %s, want %s", got, handle)
		}
		worker.Send(codec.WorkComplete, handle, "y")
		client.Want(codec.WorkComplete, handle, "y")
	}
	client.Close()
	worker.Close()
}

// doneOf requires a worker to get the first accepted job, and completes it.
func (o *offering) doneOf(addr string) {
	o.t.Helper()
	w := wire.Dial(o.t, addr)
	w.Send(codec.CanDo, "f")
	handle, argument := w.Grab()
	if handle != o.handles[0] || argument != o.accepted[0] {
		o.t.Fatalf("got job %s with %.20q, want %s with %.20q", handle, argument, o.handles[0], o.accepted[0])
	}
	w.Send(codec.WorkComplete, handle, "")
	w.Sync()
	w.Close()
	o.handles, o.accepted = o.handles[1:], o.accepted[1:]
}

// handsOut requires a worker to get the first accepted job. The worker then disconnects.
func (o *offering) handsOut(addr string) {
	o.t.Helper()
	w := wire.Dial(o.t, addr)
	w.Send(codec.CanDo, "f")
	if handle, argument := w.Grab(); handle != o.handles[0] || argument != o.accepted[0] {
		o.t.Fatalf("got job %s with %.20q, want %s with %.20q", handle, argument, o.handles[0], o.accepted[0])
	}
	w.Close()
}

// once requires a log to contain a text so many times.
func once(t *testing.T, log, text string, times int) {
	t.Helper()
	if n := strings.Count(log, text); n != times {
		t.Errorf("the log says %d times %q, want %d:\n%s", n, text, times, log)
	}
}

// The disk is full: background jobs are refused, everything else works, accepted jobs remain, even over a
// kill, and when there is room again jobs are accepted again.
func TestDiskFull(t *testing.T) {
	inBoth(t, func(t *testing.T, k *keeper) {
		d := newDisk(t, "24m")
		p, addr := d.launch(k.dialect)
		o := k.offering(addr)
		for range 100 {
			o.offer(1000)
		}
		d.Fill()
		o.untilRefused(20_000)
		wire.Await(t, "it is logged", func() bool { return strings.Contains(p.stderr.String(), saysRefused) })
		foreground(t, addr)
		o.handsOut(addr) // an end could not be stored
		for range 20 {
			o.offer(10)
		}
		// Killed and started again while there is no room.
		killGroup(p)
		p, addr = d.launch(k.dialect)
		wantKnown(t, addr, strings.Repeat("k", len(o.handles)), o.handles...)
		o.c = wire.Dial(t, addr)
		o.untilRefused(20_000)
		foreground(t, addr)
		o.doneOf(addr)
		d.Free()
		o.untilTaken(20_000)
		for range 100 {
			if !o.offer(1000) {
				t.Error("a job was refused although there is room again")
			}
		}
		wire.Await(t, "it is logged", func() bool { return strings.Contains(p.stderr.String(), saysAgain) })
		once(t, p.stderr.String(), saysRefused, 1)
		killGroup(p)
		p, addr = d.launch(k.dialect)
		wantKnown(t, addr, strings.Repeat("k", len(o.handles)), o.handles...)
		wantJobs(t, &peers.Server{Addr: addr}, "f", o.accepted...)
		p.cmd.Process.Signal(syscall.SIGUSR1)
		if r := p.wait(); r.code != 0 {
			t.Errorf("exit status %d: %s", r.code, r.stderr)
		}
	})
}

// A server ends while the disk is full. That is no failure if everything is kept; otherwise it reports what
// is not.
func TestEndOnFullDisk(t *testing.T) {
	inBoth(t, func(t *testing.T, k *keeper) {
		d := newDisk(t, "24m")
		p, addr := d.launch(k.dialect)
		o := k.offering(addr)
		for range 20 {
			o.offer(1000)
		}
		d.Fill()
		o.untilRefused(20_000)
		p.cmd.Process.Signal(syscall.SIGUSR1)
		if r := p.wait(); r.code != 0 || strings.Contains(r.stderr, "PROBE") {
			t.Errorf("exit status %d: %s", r.code, r.stderr)
		}
		// The disk is full from the start now, and the end of a job can't be stored.
		p, addr = d.launch(k.dialect)
		wantKnown(t, addr, strings.Repeat("k", len(o.handles)), o.handles...)
		handles := o.handles
		o.c = wire.Dial(t, addr)
		o.doneOf(addr)
		p.cmd.Process.Signal(syscall.SIGUSR1)
		if r := p.wait(); r.code != 1 || !strings.Contains(r.stderr, "ends of jobs that could not be stored, and are done again: up to 1") ||
			strings.Contains(r.stderr, "PROBE") {
			t.Errorf("exit status %d: %s", r.code, r.stderr)
		}
		d.Free()
		_, addr = d.launch(k.dialect)
		wantKnown(t, addr, strings.Repeat("k", len(handles)), handles...)
	})
}

// A large job for which there is no room is refused alone: smaller ones are accepted.
func TestNoRoomForLargeJob(t *testing.T) {
	inBoth(t, func(t *testing.T, k *keeper) {
		d := newDisk(t, "24m")
		p, addr := d.launch(k.dialect)
		o := k.offering(addr)
		for range 3 {
			if !o.offer(1000) {
				t.Error("a small job was refused")
			}
			if o.offer(30 << 20) {
				t.Error("a job larger than the disk was taken")
			}
			if !o.offer(4 << 20) {
				t.Error("a job that has room was refused")
			}
		}
		killGroup(p)
		_, addr = d.launch(k.dialect)
		wantJobs(t, &peers.Server{Addr: addr}, "f", o.accepted...)
	})
}

// killGroup kills a program and what it started.
func killGroup(p *program) {
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// traced starts a server whose system calls strace makes fail.
func (k *keeper) traced(options ...string) (p *program, addr string, pid int) {
	k.t.Helper()
	args := append([]string{"-f", "-qq", "-o", os.DevNull}, options...)
	p = launch(k.t, command("strace", nil, append(args, peers.Binary(k.t), "serve", "--dialect", k.dialect,
		"--listen", "127.0.0.1:0", "--data-dir", k.dir)...))
	addr = listening(k.t, p)
	wire.Await(k.t, "it logs its process", func() bool {
		m := regexp.MustCompile(`msg=started .*pid=(\d+)`).FindStringSubmatch(p.stderr.String())
		if m != nil {
			pid, _ = strconv.Atoi(m[1])
		}
		return m != nil
	})
	return p, addr, pid
}

// syncs are the system calls after which data is on the disk: pwrite64 where the log is written past the cache.
const syncs = "fsync,fdatasync,pwrite64"

// Syncs fail: the jobs are refused, and do not return although they were written. When the disk works again
// so does the server.
func TestSyncFails(t *testing.T) {
	inBoth(t, func(t *testing.T, k *keeper) {
		p, addr, pid := k.traced("-e", "trace="+syncs, "-e", "inject="+syncs+":error=EIO:when=12+")
		o := k.offering(addr)
		o.untilRefused(1000)
		foreground(t, addr)
		if len(o.accepted) > 0 {
			o.doneOf(addr)
		}
		for range 5 {
			o.offer(1000)
		}
		wire.Await(t, "it is logged", func() bool { return strings.Contains(p.stderr.String(), saysRefused) })
		// From here on nothing fails.
		p.cmd.Process.Kill()
		o.untilTaken(1000)
		for range 5 {
			if !o.offer(1000) {
				t.Error("a job was refused although the disk works again")
			}
		}
		wire.Await(t, "it is logged", func() bool { return strings.Contains(p.stderr.String(), saysAgain) })
		once(t, p.stderr.String(), saysRefused, 1)
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		gone(t, pid)
		s := k.start()
		wantKnown(t, s.Addr, strings.Repeat("k", len(o.handles)), o.handles...)
		wantJobs(t, s, "f", o.accepted...)
	})
}

// A server was killed under load, and the next two are killed at the same call of their start, for every
// call. Nothing acknowledged is lost or damaged.
func TestKilledAtEachCallOfAStart(t *testing.T) {
	t.Parallel()
	const jobs = 1500
	for _, mode := range []string{"always", "none"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			k := newKeeper(t, "perl")
			s := k.start("--sync", mode)
			client := wire.Dial(t, s.Addr)
			var handles []string
			for range jobs {
				client.Send(codec.SubmitJobBg, "f", "", strings.Repeat("argument ", 10))
			}
			for range jobs {
				handles = append(handles, string(client.WantType(codec.JobCreated).Data))
			}
			s.Signal(syscall.SIGKILL)
			if _, err := s.Wait(wire.Limit); err != nil {
				t.Fatal(err)
			}
			killed := k.dir
			// strace counts each call for itself.
			lives := func(dir, call string, at int) bool {
				p := launch(t, command("strace", nil, "-f", "-qq", "-o", os.DevNull, "-e", "trace="+call,
					"-e", fmt.Sprintf("inject=%s:signal=SIGKILL:when=%d", call, at), peers.Binary(t), "serve",
					"--listen", "127.0.0.1:0", "--data-dir", dir, "--sync", mode))
				wire.Await(t, "it listens, or has ended", func() bool { return p.isDone() || p.stdout.String() != "" })
				lives := !p.isDone()
				killGroup(p)
				return lives
			}
			kills := 0
			for _, call := range []string{"write", "pwrite64", "fsync", "fdatasync", "renameat", "unlinkat"} {
				for at := 1; ; at++ {
					k.dir = fmt.Sprintf("%s.%s.%d", killed, call, at)
					if err := os.CopyFS(k.dir, os.DirFS(killed)); err != nil {
						t.Fatal(err)
					}
					if lives(k.dir, call, at) {
						break
					}
					kills++
					lives(k.dir, call, at)
					wantKnown(t, k.start("--sync", mode).Addr, strings.Repeat("k", jobs), handles...)
					k.s.Signal(syscall.SIGUSR1)
					ended(t, k.s, 0)
					if r := run(t, nil, "store", "check", k.dir); r.code != 0 {
						t.Errorf("store check: %s%s", r.stdout, r.stderr)
					}
				}
			}
			if kills < 8 {
				t.Errorf("it was killed at %d calls only", kills)
			}
		})
	}
}
