package codec

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// anySize is a maxData that is no limit for the small packets of the tables.
const anySize = 1 << 20

// TestTableIsComplete makes sure that no packet is missing from the tables and that
// each stands there under its own name.
func TestTableIsComplete(t *testing.T) {
	seen := map[Type]bool{}
	for _, table := range [][]wire{clientWires, workerWires, serverWires} {
		for _, w := range table {
			seen[w.typ] = true
			if name, _, _ := strings.Cut(w.name, " "); name != w.typ.String() {
				t.Errorf("%q is called %s by its number %d", w.name, w.typ, uint32(w.typ))
			}
		}
	}
	for n := Type(1); n <= 42; n++ {
		if n != 5 && !seen[n] {
			t.Errorf("%s is in no table", n)
		}
		if n.Known() != (n != 5) {
			t.Errorf("number %d: Known is %v", uint32(n), n.Known())
		}
	}
	for _, n := range []Type{0, 5, 43, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
		if n.Known() {
			t.Errorf("number %d counts as known", uint32(n))
		}
		if want := fmt.Sprint(uint32(n)); n.String() != want {
			t.Errorf("number %d is written %q", uint32(n), n)
		}
	}
}

// TestFrameAtEveryCut gives Next every beginning of every packet.
func TestFrameAtEveryCut(t *testing.T) {
	for _, w := range wires() {
		t.Run(w.name, func(t *testing.T) {
			for n := range len(w.raw) {
				// A buffer of its own, so that a look behind its end is an error.
				buf := bytes.Clone([]byte(w.raw[:n]))
				want := Item{}
				if n >= HeaderSize {
					want = w.want()
					want.Kind, want.Data, want.Len = Head, buf[HeaderSize:], n
				}
				expect(t, buf, anySize, want)
			}
			expect(t, []byte(w.raw), anySize, w.want())
		})
	}
}

// TestFrameLeavesTheRest puts other bytes behind every packet: they change nothing, and
// what is appended to the data does not run into them.
func TestFrameLeavesTheRest(t *testing.T) {
	for _, w := range wires() {
		for _, rest := range []string{"\x00", "\x00REQ", "\n", "status\n", "\x00XXX", w.raw} {
			buf := []byte(w.raw + rest)
			expect(t, buf, anySize, w.want())
			it, _ := Next(buf, anySize)
			if len(it.Data) > 0 && &it.Data[0] != &buf[HeaderSize] {
				t.Errorf("%s: the data are a copy", w.name)
			}
			_ = append(it.Data, '!')
			if got := string(buf[it.Len:]); got != rest {
				t.Errorf("%s: appending to the data made %q of %q", w.name, got, rest)
			}
		}
	}
}

// TestGlued walks through all packets and lines of the tables in one buffer.
func TestGlued(t *testing.T) {
	var raw string
	var want []string
	for i, w := range wires() {
		l := lines[i%len(lines)]
		raw += w.raw + l.raw
		want = append(want, show(w.want()), show(l.want()))
	}
	got, left, err := walk([]byte(raw), anySize)
	if err != nil || left != 0 {
		t.Fatalf("%d bytes left, error %v", left, err)
	}
	compare(t, got, want)
}

// TestGluedPairs makes sure of each packet that it does not matter what comes before.
func TestGluedPairs(t *testing.T) {
	all := wires()
	for _, a := range all {
		for _, b := range all {
			got, left, err := walk([]byte(a.raw+b.raw), anySize)
			if err != nil || left != 0 || len(got) != 2 || got[0] != show(a.want()) || got[1] != show(b.want()) {
				t.Errorf("%s, then %s: %q, %d bytes left, error %v", a.name, b.name, got, left, err)
			}
		}
	}
}

func TestMaxData(t *testing.T) {
	for _, limit := range []int{0, 1, 11, 255, 256, 1 << 16, 1 << 20} {
		for _, magic := range []string{"\x00REQ", "\x00RES"} {
			for _, size := range []int{limit - 1, limit, limit + 1, limit + 2, 2*limit + 1} {
				if size < 0 {
					continue
				}
				buf := appendHeader(nil, magic, SubmitJob, size)
				buf = append(buf, make([]byte, size)...)
				for _, n := range []int{HeaderSize, HeaderSize + size/2, len(buf)} {
					it, err := Next(buf[:n], limit)
					if size > limit {
						if err != ErrTooLarge {
							t.Errorf("size %d, limit %d, %d bytes there: error %v", size, limit, n, err)
						}
						continue
					}
					kind := Head
					if n == len(buf) {
						kind = Frame
					}
					if err != nil || it.Kind != kind || it.Size != size || it.Len != n {
						t.Errorf("size %d, limit %d, %d bytes there: %s, error %v", size, limit, n, show(it), err)
					}
				}
			}
		}
	}
}

func TestBroken(t *testing.T) {
	for _, b := range brokenWires {
		t.Run(b.name, func(t *testing.T) {
			for n := range len(b.raw) + 1 {
				it, err := Next([]byte(b.raw[:n]), brokenMaxData)
				switch {
				case n < b.at && (err != nil || it.Kind != Incomplete || it.Len != 0):
					t.Errorf("%d bytes: %s, error %v", n, show(it), err)
				case n >= b.at && !errors.Is(err, b.err):
					t.Errorf("%d bytes: error %v, want %v", n, err, b.err)
				}
			}
		})
	}
}

// TestGarbageBehindNUL tries every wrong byte at every place of the magic, with one to
// twelve bytes there.
func TestGarbageBehindNUL(t *testing.T) {
	for _, magic := range []string{"\x00REQ", "\x00RES"} {
		for at := 1; at < len(magic); at++ {
			for c := range 256 {
				buf := []byte(magic + "\x00\x00\x00\x09\x00\x00\x00\x00")
				buf[at] = byte(c)
				broken := string(buf[:4]) != "\x00REQ" && string(buf[:4]) != "\x00RES"
				for n := 1; n <= len(buf); n++ {
					_, err := Next(buf[:n], anySize)
					if want := broken && n > at; (err == ErrMagic) != want || !want && err != nil {
						t.Errorf("%q: error %v", buf[:n], err)
					}
				}
			}
		}
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		data, arg, rest string
		ok              bool
	}{
		{"", "", "", false},
		{"abc", "abc", "", false},
		{"\x00", "", "", true},
		{"a\x00", "a", "", true},
		{"\x00b", "", "b", true},
		{"a\x00b", "a", "b", true},
		{"a\x00b\x00c", "a", "b\x00c", true},
		{"\x00\x00", "", "\x00", true},
	} {
		data := []byte(c.data)
		arg, rest, ok := Cut(data)
		if string(arg) != c.arg || string(rest) != c.rest || ok != c.ok {
			t.Errorf("Cut(%q) = %q, %q, %v", c.data, arg, rest, ok)
		}
		if ok {
			_ = append(arg, '!')
			if string(data) != c.data {
				t.Errorf("appending to the argument made %q of %q", data, c.data)
			}
		}
	}
}

// TestCutTakesPacketsApart gets the arguments of every packet back from its data.
func TestCutTakesPacketsApart(t *testing.T) {
	for _, w := range wires() {
		rest := []byte(w.raw[HeaderSize:])
		for i, want := range w.args {
			arg := rest
			if i < len(w.args)-1 {
				var ok bool
				if arg, rest, ok = Cut(rest); !ok {
					t.Errorf("%s: argument %d of %d is the last", w.name, i, len(w.args))
				}
			}
			if string(arg) != want {
				t.Errorf("%s: argument %d is %q, want %q", w.name, i, arg, want)
			}
		}
		if len(w.args) == 0 && len(rest) != 0 {
			t.Errorf("%s: %q where no argument is", w.name, rest)
		}
	}
}

// TestAppend encodes every packet, alone and behind other bytes.
func TestAppend(t *testing.T) {
	for _, w := range wires() {
		encode := AppendRequest
		if w.response {
			encode = AppendPacket
		}
		for _, before := range []string{"", "bytes before"} {
			if got := string(encode([]byte(before), w.typ, w.args...)); got != before+w.raw {
				t.Errorf("%s behind %q: %q", w.name, before, got)
			}
		}
		if !w.response {
			continue
		}
		header := AppendHeader([]byte("before"), w.typ, len(w.raw)-HeaderSize)
		if got := string(header) + w.raw[HeaderSize:]; got != "before"+w.raw {
			t.Errorf("%s, header and data apart: %q", w.name, got)
		}
	}
}

// TestAppendLarge has sizes that need each of the four bytes.
func TestAppendLarge(t *testing.T) {
	for _, size := range []int{0, 1, 255, 256, 65535, 65536, 1<<24 - 1, 1 << 24, 64 << 20} {
		data := strings.Repeat("x", size)
		buf := AppendPacket(nil, EchoRes, data)
		it, err := Next(buf, size)
		if err != nil || it.Kind != Frame || it.Size != size || it.Len != HeaderSize+size || string(it.Data) != data {
			t.Errorf("%d bytes: %v size %d len %d, error %v", size, it.Kind, it.Size, it.Len, err)
		}
	}
}

// expect fails unless Next finds the item in buf.
func expect(t *testing.T, buf []byte, maxData int, want Item) {
	t.Helper()
	got, err := Next(buf, maxData)
	if err != nil || show(got) != show(want) {
		t.Errorf("Next(%q):\n got %s, error %v\nwant %s", buf, show(got), err, show(want))
	}
}

// walk takes whole items off buf until there is none or an error, and returns them, the
// number of bytes left, and the error.
func walk(buf []byte, maxData int) (items []string, left int, err error) {
	for {
		it, err := Next(buf, maxData)
		if err != nil || it.Kind == Incomplete || it.Kind == Head {
			return items, len(buf), err
		}
		items = append(items, show(it))
		buf = buf[it.Len:]
	}
}

// compare fails at the first item that differs.
func compare(t *testing.T, got, want []string) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("item %d:\n got %s\nwant %s", i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d items, want %d", len(got), len(want))
	}
}
