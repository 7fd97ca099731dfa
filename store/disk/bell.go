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
	rung    atomic.Bool // the pipe holds a byte, or is about to
	limited bool        // in has a deadline
}

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

// ring ends the present wait, or the next one. It never blocks, since the pipe holds at most one byte. Nobody
// waits at a nil bell.
func (b *bell) ring() {
	if b != nil && !b.rung.Swap(true) {
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
	var one [1]byte
	if n, _ := b.in.Read(one[:]); n > 0 {
		b.rung.Store(false) // what was rung for before is seen by the turn that follows
	}
}

func (b *bell) close() {
	if b == nil {
		return
	}
	_ = b.in.Close()
	_ = b.out.Close()
}
