package payload

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

// TestViews reads plain bytes and payloads of all sizes from several places on.
func TestViews(t *testing.T) {
	for _, size := range sizes {
		p := full(size)
		for _, v := range []View{Borrow(pattern[:size]), Of(p)} {
			head := size
			if v.Shared() {
				head = min(size, ChunkSize)
			}
			for _, off := range []int{0, 1, 12, 511, 512, ChunkSize - 1, ChunkSize, head} {
				if off <= head && (size < largest || off == 12) {
					t.Run(fmt.Sprintf("size=%d/shared=%v/from=%d", size, v.Shared(), off), func(t *testing.T) {
						balanced(t)
						reads(t, v.From(off), pattern[off:size], head-off)
						// Step by step comes to the same.
						reads(t, v.From(off/2).From(off-off/2), pattern[off:size], head-off)
					})
				}
			}
		}
		p.Release()
	}
}

// reads fails unless all ways to read the view give want, head bytes of it in one piece.
func reads(t *testing.T, v View, want []byte, head int) {
	t.Helper()
	if v.Len() != len(want) {
		t.Errorf("length %d, want %d", v.Len(), len(want))
	}
	if !bytes.Equal(v.Head(), want[:head]) {
		t.Errorf("head of %d bytes, want %d", len(v.Head()), head)
	}
	if got := v.Append([]byte("before")); string(got[:6]) != "before" || !bytes.Equal(got[6:], want) {
		t.Error("Append gives something else")
	}
	before := []byte("a slice of others")
	pieces := v.Slices([][]byte{before})
	if len(pieces) == 0 || &pieces[0][0] != &before[0] {
		t.Fatal("Slices does not append")
	}
	pieces = pieces[1:]
	if slices.ContainsFunc(pieces, func(b []byte) bool { return len(b) == 0 }) {
		t.Error("an empty slice")
	}
	if !bytes.Equal(slices.Concat(pieces...), want) {
		t.Error("Slices gives something else")
	}
	if limit := 2 + len(want)/ChunkSize; len(pieces) > limit {
		t.Errorf("%d slices, more than %d", len(pieces), limit)
	}
	if head > 0 && &pieces[0][0] != &v.Head()[0] {
		t.Error("Slices copies")
	}
	if v.Shared() && cap(v.Head()) != head {
		t.Errorf("an append to the head would write into the chunk: %d bytes of room", cap(v.Head())-head)
	}
}

// TestFootprint: keeping a view takes what its bytes lie in, however little of it is shown.
func TestFootprint(t *testing.T) {
	balanced(t)
	for _, size := range sizes {
		_, before := InUse()
		p := full(size)
		_, after := InUse()
		for _, off := range []int{0, min(size, 511)} {
			if got := Of(p).From(off).Footprint(); got != int(after-before) {
				t.Errorf("payload of %d bytes from %d: footprint %d, it takes %d", size, off, got, after-before)
			}
			if got := Borrow(pattern[:size]).From(off).Footprint(); got != size-off {
				t.Errorf("%d plain bytes: footprint %d", size-off, got)
			}
		}
		p.Release()
	}
	if n := (View{}).Footprint(); n != 0 {
		t.Errorf("nothing takes %d bytes", n)
	}
}

func TestZeroView(t *testing.T) {
	balanced(t)
	var v View
	reads(t, v, nil, 0)
	reads(t, v.From(0), nil, 0)
	if v.Shared() {
		t.Error("nothing counts as shared")
	}
	v.Retain().Release()
	v.Keep().Release()
	v.Release()
}

// TestKeepCopiesPlainBytes: what is kept stays when the buffer it came from is used again.
func TestKeepCopiesPlainBytes(t *testing.T) {
	balanced(t)
	for _, size := range []int{0, 1, 64, 5000} {
		buf := bytes.Clone(pattern[:size+2])
		borrowed := Borrow(buf[1 : size+1])
		copied := borrowed.Keep()
		clear(buf)
		reads(t, copied, pattern[1:size+1], size)
		if copied.Shared() {
			t.Error("a copy of plain bytes counts as shared")
		}
		_ = append(copied.Head(), "more"...)
		reads(t, copied, pattern[1:size+1], size)
		copied.Release()
	}
}

// TestRetainLeavesPlainBytes: what is borrowed stays borrowed.
func TestRetainLeavesPlainBytes(t *testing.T) {
	buf := []byte("abc")
	v := Borrow(buf).Retain()
	buf[0] = 'x'
	if string(v.Head()) != "xbc" {
		t.Errorf("Retain made a copy: %q", v.Head())
	}
	v.Release()
}

// TestKeepHoldsPayload: each of Keep and Retain takes a reference, without a copy.
func TestKeepHoldsPayload(t *testing.T) {
	balanced(t)
	for _, retain := range []func(View) View{View.Keep, View.Retain} {
		p := full(ChunkSize + 5)
		first := &p.first[3]
		v := retain(Of(p).From(3))
		p.Release()
		if !v.Shared() || &v.Head()[0] != first {
			t.Error("a copy was made of a payload")
		}
		reads(t, v, pattern[3:ChunkSize+5], ChunkSize-3)
		v.Release()
		if p.first != nil {
			t.Error("the chunks stay after the last release")
		}
	}
}

// TestOfTakesNoReference: a view alone does not keep a payload.
func TestOfTakesNoReference(t *testing.T) {
	balanced(t)
	p := full(10)
	Of(p).From(3)
	p.Release()
	if p.first != nil {
		t.Error("the view held a reference")
	}
}
