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
	awake  int32 = iota // nobody waits
	asleep              // somebody waits for a byte, or is about to
	rung                // since the last wait began
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

// ring ends the present wait, or the next one. Only the first ring in a wait writes to the pipe. So that never holds
// more than the byte for this wait, and one that came too late for an earlier wait, and ring never blocks. Nobody waits
// at a nil bell.
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
