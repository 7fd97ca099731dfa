package disk

import (
	"testing"
	"time"
)

// A ring is never lost, many are one, and none blocks.
func TestBell(t *testing.T) {
	b, err := newBell()
	if err != nil {
		t.Fatal(err)
	}
	for range 100_000 { // more than a pipe holds
		b.ring()
	}
	b.wait(forever)
	start := time.Now()
	b.wait(time.Millisecond)
	if time.Since(start) < time.Millisecond {
		t.Error("a wait ends without a ring, or one wait leaves rings behind")
	}
	for range 1000 {
		go b.ring()
		b.wait(forever) // after a limit, there is none
	}
	b.ring()
	b.wait(-time.Second)
	b.close()
	b.ring()

	b = nil
	b.ring()
	b.close()
}
