package systest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"

	"gearloop/codec"
	"gearloop/test/wire"
)

// bigArgument returns an argument of so many bytes. It begins with its number, and no two of its MiB are
// equal.
func bigArgument(number, size int) []byte {
	b := fmt.Appendf(nil, "%d:", number)
	for piece := 0; len(b) < size; piece++ {
		b = fmt.Appendf(b, "piece %d:", piece)
		b = append(b, noise[:min(len(noise), size-len(b))]...)
	}
	return b[:size]
}

// submitBig submits a background job and returns its handle.
func submitBig(c *wire.Conn, function, unique string, argument []byte) string {
	head := function + "\x00" + unique + "\x00"
	b := codec.AppendRequest(nil, codec.SubmitJobBg, head)
	size := len(head) + len(argument)
	b[8], b[9], b[10], b[11] = byte(size>>24), byte(size>>16), byte(size>>8), byte(size)
	c.Raw(append(b, argument...))
	return string(c.WantType(codec.JobCreated).Data)
}

// A job of 64 MiB is stored, survives a kill, and arrives completely, even if a worker loses it.
func TestLargestJob(t *testing.T) {
	inBoth(t, func(t *testing.T, k *keeper) {
		argument := bigArgument(1, 64<<20)
		want := sha256.Sum256(argument)
		s := k.start("--max-packet", "65M")
		handle := submitBig(wire.Dial(t, s.Addr), "f", "unique", argument)
		s = k.kill("--max-packet", "65M")
		wantKnown(t, s.Addr, "k", handle)
		if again := wire.Dial(t, s.Addr).Submit(codec.SubmitJobBg, "f", "unique", "x"); again != handle {
			t.Errorf("the unique id gives %s, want %s", again, handle)
		}
		for turn := range 3 {
			w := able(t, s, "f")
			got, a := w.Grab()
			if sum := sha256.Sum256([]byte(a)); got != handle || sum != want {
				t.Errorf("turn %d: got job %s with %d bytes, want %s with %d, all as they were sent",
					turn, got, len(a), handle, len(argument))
			}
			switch turn {
			case 0:
				w.Close()
				wire.Await(t, "it waits again", func() bool { return known(wire.Dial(t, s.Addr), handle) == "k" })
			case 1:
				s = k.kill("--max-packet", "65M")
			default:
				w.Send(codec.WorkComplete, handle, "")
				w.Sync()
			}
		}
		s = k.restart("--max-packet", "65M")
		wantKnown(t, s.Addr, "-", handle)
	})
}

// Many large jobs do not fill the memory, neither when they are submitted, nor after a restart, nor when
// workers ask for all of them at once. More than --max-memory is accepted and handed out.
func TestManyLargeJobs(t *testing.T) {
	t.Parallel()
	k := newKeeper(t, "perl")
	const (
		jobs     = 40
		size     = 16 << 20
		most     = 256 << 20
		together = most + most/4
	)
	s := k.start("--max-memory", "256M")
	var mu sync.Mutex
	sums := map[string][sha256.Size]byte{} // of the arguments, by handle
	each(t, 4, jobs, func(i int) {
		argument := bigArgument(i, size)
		c := wire.Dial(wire.Aside(t), s.Addr)
		handle := submitBig(c, "f", "", argument)
		c.Close()
		mu.Lock()
		defer mu.Unlock()
		sums[handle] = sha256.Sum256(argument)
	})
	bounded := func(when string) {
		t.Helper()
		peak := memory(t, k.s.PID, "VmHWM")
		if peak > together {
			t.Errorf("%s: the server took %d MiB at its peak, with --max-memory of %d", when, peak>>20, most>>20)
		}
		t.Logf("%s: %d MiB at the peak, %d now", when, peak>>20, memory(t, k.s.PID, "VmRSS")>>20)
	}
	bounded("submitted")
	done := func(w *wire.Conn, handle, a string) {
		t.Helper()
		got := sha256.Sum256([]byte(a))
		mu.Lock()
		defer mu.Unlock()
		if sum, waits := sums[handle]; !waits || got != sum {
			t.Errorf("got job %s with %d bytes; it is to be done: %v", handle, len(a), waits)
		}
		delete(sums, handle)
		w.Send(codec.WorkComplete, handle, "")
	}
	w := able(t, s, "f")
	for range 4 {
		handle, a := w.Grab()
		done(w, handle, a)
	}
	w.Sync()
	bounded("some done")
	s = k.restart("--max-memory", "256M")
	bounded("started again")
	// All remaining jobs are requested before anybody reads one. Then all read at the same time: who makes no progress
	// while others wait for memory is cut off after two seconds, which are short on a slow machine. It asks again later.
	var workers []*wire.Conn
	for range len(sums) {
		w := wire.Dial(wire.Aside(t), s.Addr)
		w.Send(codec.CanDo, "f")
		w.Sync()
		workers = append(workers, w)
	}
	for _, w := range workers {
		w.Send(codec.GrabJob)
	}
	var reading sync.WaitGroup
	for _, w := range workers {
		reading.Go(func() {
			defer w.Close()
			p, err := w.Receive()
			if late := net.Error(nil); errors.As(err, &late) && late.Timeout() {
				t.Error("a worker has neither its job nor an end:", err)
			}
			if err != nil {
				return
			}
			if p.Type != codec.JobAssign {
				t.Errorf("came %v", p.Type)
				return
			}
			args := p.Args(3)
			done(w, args[0], args[2])
			w.Sync()
		})
	}
	reading.Wait()
	bounded("all asked")
	if len(sums) == len(workers) {
		t.Error("not one of all that asked together got its job")
	}
	w = able(t, s, "f")
	for len(sums) > 0 && !t.Failed() {
		w.Send(codec.PreSleep)
		w.Want(codec.Noop)
		handle, a := w.Grab()
		done(w, handle, a)
	}
	w.Sync()
	bounded("all done")
	s = k.restart()
	wantJobs(t, s, "f")
}
