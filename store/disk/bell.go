package disk

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// bell wakes the committer. It is a pipe, because a goroutine that waits for a file is resumed by a thread that
// waits in the kernel. One that waits for a channel is queued behind the goroutine that sends, which is an
// event loop that goes on. Another thread steals it from there only after a pause of 3 µs, which takes 60 to 80
// with the timer slack that Linux gives threads.
type bell struct {
	in, out *os.File
	state   atomic.Int32 // awake, asleep or rung
	limited bool         // in has a deadline
}

// States of a bell.
const (
	awake  int32 = iota // the committer does not wait
	asleep              // the committer waits for a byte, or is about to
	rung                // ring was called: the present wait ends, or the next one does not begin
)

func newBell() (*bell, error) {
	in, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	b := &bell{in: in, out: out}
	if err := in.SetReadDeadline(time.Time{}); err != nil { // the system gives no more files to wait for
		b.close()
		return nil, fmt.Errorf("a pipe that can be waited for: %w", err)
	}
	return b, nil
}

// ring ends the present wait, or the next one. Only the first ring during a wait writes to the pipe. So the pipe
// holds two bytes at most, one for this wait and one that came too late for an earlier one, and ring never blocks.
// A nil bell has no committer, and ring does nothing.
func (b *bell) ring() {
	if b != nil && b.state.Swap(rung) == asleep {
		_, _ = b.out.Write([]byte{0})
	}
}

// forever as a time to wait means until the bell rings.
const forever = time.Duration(1<<63 - 1)

// wait returns when the bell rings, or after most.
func (b *bell) wait(most time.Duration) {
	if limited := most < forever; limited || b.limited {
		deadline := time.Time{}
		if limited {
			deadline = time.Now().Add(most)
		}
		_ = b.in.SetReadDeadline(deadline)
		b.limited = limited
	}
	if b.state.CompareAndSwap(awake, asleep) {
		var bytes [2]byte
		_, _ = b.in.Read(bytes[:])
	}
	b.state.Store(awake) // what was rung for before is seen by the turn that follows
}

func (b *bell) close() {
	if b == nil {
		return
	}
	_ = b.in.Close()
	_ = b.out.Close()
}
