package payload

import (
	"bytes"
	"sync"
	"testing"
)

// TestLastReleaseFrees makes sure that a payload lives exactly as long as a reference is held.
func TestLastReleaseFrees(t *testing.T) {
	balanced(t)
	p := full(ChunkSize + 10)
	during, _ := InUse()
	const more = 10
	for range more {
		p.retain()
	}
	for i := range more {
		p.Release()
		if n, _ := InUse(); n != during || !bytes.Equal(Of(p).Append(nil), pattern[:p.Size()]) {
			t.Fatalf("gone after %d of %d releases", i+1, more+1)
		}
	}
	p.Release()
	if n, _ := InUse(); n != during-1 {
		t.Fatal("still in use after the last release")
	}
}

func TestOverReleasePanics(t *testing.T) {
	p := full(10)
	p.Release()
	panics(t, "Release without a reference", p.Release)
	panics(t, "one more", p.Release)
}

// TestRetainOfAFreePayloadPanics: who has no reference can't make one. The chunks have gone to
// the pools, and a second end would put what is left in their place there.
func TestRetainOfAFreePayloadPanics(t *testing.T) {
	p := full(10)
	p.Release()
	panics(t, "Retain without a reference", p.retain)
}

func panics(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s did not panic", what)
		}
	}()
	f()
}

// TestConcurrentReaders passes payloads on to goroutines that read, pass on and let go, as
// connections on several event loops do, while the one who filled it lets go, too.
func TestConcurrentReaders(t *testing.T) {
	balanced(t)
	const readers, handovers = 8, 4
	for _, size := range []int{1, 600, ChunkSize, 2*ChunkSize + 100} {
		for range 50 {
			p := full(size)
			v := Of(p).From(1)
			var all sync.WaitGroup
			var read func(v View, handovers int)
			read = func(v View, handovers int) {
				defer all.Done()
				if handovers > 0 {
					all.Add(1)
					go read(v.Retain(), handovers-1)
				}
				at := 1
				for _, s := range v.Slices(nil) {
					if !bytes.Equal(s, pattern[at:at+len(s)]) {
						t.Errorf("size %d: the bytes at %d are not what was put in", size, at)
					}
					at += len(s)
				}
				if at != size {
					t.Errorf("%d bytes of %d", at, size)
				}
				v.Release()
			}
			for range readers {
				all.Add(1)
				go read(v.Retain(), handovers)
			}
			p.Release()
			all.Wait()
		}
	}
}

// TestConcurrentLives has many goroutines make, fill and let go of payloads of their own: no two
// may be given the same chunk.
func TestConcurrentLives(t *testing.T) {
	balanced(t)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 300 {
				size := 1 + (i*977+g*131)%5000
				from := pattern[(g*300+i)*100:]
				p := New(size)
				for p.Missing() > 0 {
					p.Fill(from[size-p.Missing():][:min(700, p.Missing())])
				}
				if !bytes.Equal(Of(p).Append(nil), from[:size]) {
					t.Errorf("goroutine %d, payload %d: %d bytes are not what was put in", g, i, size)
				}
				p.Release()
			}
		})
	}
	all.Wait()
}
