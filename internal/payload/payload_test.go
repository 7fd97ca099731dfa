package payload

import (
	"bytes"
	"fmt"
	"math"
	"testing"

	"gearloop/test/sample"
)

// sizes are payload sizes around all boundaries: the smallest pool's, those of the chunks, and the largest.
var sizes = []int{
	0, 1, 2, 511, 512, 513, 1023, 1024, 1025, 60 << 10, 65535, 65536, 65537,
	ChunkSize - 1, ChunkSize, ChunkSize + 1,
	2*ChunkSize - 1, 2 * ChunkSize, 2*ChunkSize + 1,
	3*ChunkSize + 511, 3*ChunkSize + 512, 3*ChunkSize + 513,
	largest,
}

// largest is the largest packet that a server accepts by default; in a sample 36 chunks will do.
var largest = sample.Of(64<<20, 9<<20)

// pattern is a block of bytes of which no two pieces that a test could confuse are equal.
var pattern = func() []byte {
	b := make([]byte, largest+1)
	x := uint32(1)
	for i := range b {
		if i%4 == 0 {
			x ^= x << 13
			x ^= x >> 17
			x ^= x << 5
		}
		b[i] = byte(x >> (i % 4 * 8))
	}
	return b
}()

// full returns a payload that holds the first size bytes of the pattern.
func full(size int) *Payload {
	p := New(size)
	p.Fill(pattern[:size])
	return p
}

// balanced fails at the end of the test unless as much memory is in use as at its beginning.
func balanced(t *testing.T) {
	t.Helper()
	payloads, size := InUse()
	t.Cleanup(func() {
		if p, s := InUse(); p != payloads || s != size {
			t.Errorf("%d payloads and %d bytes more in use than before", p-payloads, s-size)
		}
	})
}

// TestFilling fills payloads of all sizes with reads of different lengths.
func TestFilling(t *testing.T) {
	for _, size := range sizes {
		for _, step := range []int{1, 1460, 60 << 10, ChunkSize, 512 << 10, math.MaxInt} {
			if size/step > 100_000 || size == largest && step < ChunkSize {
				continue // a large payload in small pieces tests nothing new
			}
			t.Run(fmt.Sprintf("size=%d/step=%d", size, step), func(t *testing.T) {
				balanced(t)
				p := New(size)
				fillBySpace(t, p, step)
				holds(t, p, size)
				p.Release()

				p = New(size)
				fillBySpaces(t, p, step)
				holds(t, p, size)
				p.Release()

				p = New(size)
				fillByFill(t, p, step)
				holds(t, p, size)
				p.Release()
			})
		}
	}
}

// fillBySpace fills a payload as reads from a socket do, at most step bytes each.
func fillBySpace(t *testing.T, p *Payload, step int) {
	t.Helper()
	for done := 0; done < p.Size(); {
		if p.Missing() != p.Size()-done {
			t.Fatalf("%d bytes missing after %d of %d", p.Missing(), done, p.Size())
		}
		space := p.Space()
		if len(space) == 0 || len(space) > p.Missing() {
			t.Fatalf("space for %d bytes when %d are missing", len(space), p.Missing())
		}
		n := copy(space[:min(step, len(space))], pattern[done:])
		p.Filled(n)
		done += n
	}
}

// fillBySpaces fills a payload as reads into several chunks do, each for up to step bytes, of which every other read
// brings less.
func fillBySpaces(t *testing.T, p *Payload, step int) {
	t.Helper()
	short := false
	for done := 0; done < p.Size(); short = !short {
		spaces := p.Spaces(nil, step)
		room := 0
		for _, s := range spaces {
			if len(s) == 0 {
				t.Fatalf("an empty piece of %d after %d of %d bytes", len(spaces), done, p.Size())
			}
			room += len(s)
		}
		if room == 0 || room > min(step, p.Missing()) {
			t.Fatalf("room for %d bytes when %d are missing and %d are asked for", room, p.Missing(), step)
		}
		if most := max(2*done, ChunkSize); p.Allocated() > most+ChunkSize/4 {
			t.Fatalf("%d bytes are allocated when %d have come", p.Allocated(), done)
		}
		n := room
		if short {
			n = max(1, room*2/3)
		}
		left := n
		for _, s := range spaces {
			k := copy(s[:min(left, len(s))], pattern[done+n-left:])
			left -= k
		}
		p.Filled(n)
		done += n
		if p.Missing() != p.Size()-done {
			t.Fatalf("%d bytes missing after %d of %d", p.Missing(), done, p.Size())
		}
	}
	if n := len(p.Spaces(nil, step)); n > 0 {
		t.Fatalf("a full payload gives %d pieces", n)
	}
}

// fillByFill fills a payload with copies of at most step bytes each.
func fillByFill(t *testing.T, p *Payload, step int) {
	t.Helper()
	for done := 0; done < p.Size(); {
		// At the end more than the missing bytes are offered. They must not be taken.
		offer := pattern[done:]
		offer = offer[:min(step, len(offer))]
		n := p.Fill(offer)
		if want := min(len(offer), p.Size()-done); n != want {
			t.Fatalf("Fill took %d bytes of %d, want %d", n, len(offer), want)
		}
		done += n
	}
}

// holds fails unless the payload is full and holds the first size bytes of the pattern.
func holds(t *testing.T, p *Payload, size int) {
	t.Helper()
	_, before := InUse()
	if p.Missing() != 0 || len(p.Space()) != 0 || p.Size() != size {
		t.Fatalf("full payload of %d bytes: size %d, %d missing, space %d", size, p.Size(), p.Missing(), len(p.Space()))
	}
	if n := p.Fill([]byte("more")); n != 0 {
		t.Fatalf("a full payload took %d bytes", n)
	}
	if _, after := InUse(); after != before {
		t.Fatalf("a full payload took memory for %d bytes more", after-before)
	}
	if !bytes.Equal(p.first, pattern[:min(size, ChunkSize)]) {
		t.Fatal("the first chunk holds something else")
	}
	if got := Of(p).Append(nil); !bytes.Equal(got, pattern[:size]) {
		t.Fatal("the payload holds something else")
	}
}

// TestSpaces: a read of half a MiB into a payload of which much has come needs one system call.
func TestSpaces(t *testing.T) {
	balanced(t)
	p := New(largest)
	defer p.Release()
	p.Fill(pattern[:5*ChunkSize/2])
	spaces := p.Spaces(nil, 2*ChunkSize)
	if len(spaces) != 3 || len(spaces[0]) != ChunkSize/2 || len(spaces[1]) != ChunkSize || len(spaces[2]) != ChunkSize/2 {
		t.Errorf("%d pieces", len(spaces))
	}
}

// TestReserve: memory is taken as bytes arrive. A header that announces much reserves at most one chunk.
func TestReserve(t *testing.T) {
	balanced(t)
	for _, size := range []int{0, 1, 513, ChunkSize, ChunkSize + 1, largest, math.MaxInt} {
		payloads, before := InUse()
		p := New(size)
		if n, inUse := InUse(); n != payloads+1 || inUse-before > ChunkSize {
			t.Errorf("%d bytes announced: %d payloads, %d bytes taken", size, n-payloads, inUse-before)
		}
		p.Space() // what a read reserves before anything has arrived
		if _, inUse := InUse(); inUse-before > ChunkSize {
			t.Errorf("%d bytes announced: %d bytes taken before the first came", size, inUse-before)
		}
		p.Release()
	}
	p := New(math.MaxInt)
	_, before := InUse()
	before -= ChunkSize
	for filled := 0; filled < 3*ChunkSize; {
		n := p.Fill(pattern[:1000])
		filled += n
		if _, inUse := InUse(); inUse-before > int64(filled)+ChunkSize {
			t.Fatalf("%d bytes came, %d are taken", filled, inUse-before)
		}
	}
	p.Release()
}

// TestRoundedSizes: no payload of up to a chunk takes more than twice its size, or the smallest chunk.
func TestRoundedSizes(t *testing.T) {
	balanced(t)
	for size := 0; size <= ChunkSize; size += 1 + size/50 {
		_, before := InUse()
		p := New(size)
		_, after := InUse()
		if grown := after - before; grown < int64(size) || grown >= 2*int64(max(size, 512)) {
			t.Errorf("payload of %d bytes takes %d", size, grown)
		}
		p.Release()
	}
}

// TestReuse passes chunks on between payloads of different sizes.
func TestReuse(t *testing.T) {
	balanced(t)
	for round := range 200 {
		size := []int{1, 500, 600, 1000, 5000, ChunkSize + 700}[round%6]
		p := New(size)
		if len(p.first) != 0 || p.Missing() != size {
			t.Fatalf("round %d: a new payload holds %d bytes, %d missing", round, len(p.first), p.Missing())
		}
		from := pattern[round*1000:]
		p.Fill(from)
		if !bytes.Equal(Of(p).Append(nil), from[:size]) {
			t.Fatalf("round %d: %d bytes are not what was put in", round, size)
		}
		p.Release()
	}
}

// TestInUse counts several payloads that exist at once and are released in another order.
func TestInUse(t *testing.T) {
	balanced(t)
	payloads, size := InUse()
	a, b, c := full(1), full(513), full(ChunkSize+1)
	if n, s := InUse(); n-payloads != 3 || s-size != 512+640+ChunkSize+512 {
		t.Errorf("%d payloads, %d bytes", n-payloads, s-size)
	}
	b.retain()
	b.Release()
	a.Release()
	if n, s := InUse(); n-payloads != 2 || s-size != 640+ChunkSize+512 {
		t.Errorf("without the first: %d payloads, %d bytes", n-payloads, s-size)
	}
	b.Release()
	c.Release()
}

// TestReleaseHalfFull lets go of payloads whose sender has gone on the way.
func TestReleaseHalfFull(t *testing.T) {
	balanced(t)
	for _, size := range []int{10, ChunkSize, 3 * ChunkSize} {
		for _, filled := range []int{0, 1, size / 2, size - 1} {
			p := New(size)
			p.Fill(pattern[:filled])
			p.Release()
		}
	}
}

// TestResize: an empty payload takes any size for which a new one would begin with the same chunk, and holds it.
func TestResize(t *testing.T) {
	for _, c := range []struct {
		from, to int
		ok       bool
	}{
		{600, 640, true}, {640, 513, true}, {640, 641, false}, {640, 512, false}, {1, 512, true},
		{ChunkSize, ChunkSize, true}, {ChunkSize, largest, true}, {largest, ChunkSize - 10, true}, {ChunkSize, 1000, false},
	} {
		balanced(t)
		p := New(c.from)
		if ok := p.Resize(c.to); ok != c.ok {
			t.Errorf("from %d to %d: %t", c.from, c.to, ok)
		}
		if want := c.to; c.ok {
			p.Fill(pattern)
			holds(t, p, want)
			if p.Resize(want) {
				t.Errorf("%d bytes: resized when it was full", want)
			}
		}
		p.Release()
	}
}
