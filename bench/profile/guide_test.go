package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"os"
	"strings"
	"testing"
)

// TestAnonymous: directories and the date go, everything else stays as it is.
func TestAnonymous(t *testing.T) {
	text := func(s string) []byte {
		return append(binary.AppendUvarint([]byte{stringField<<3 | lengthWire}, uint64(len(s))), s...)
	}
	number := func(field byte, n uint64) []byte { return binary.AppendUvarint([]byte{field<<3 | numberWire}, n) }
	period := number(12, 10_000_000)
	sample := append([]byte{2<<3 | lengthWire, 4}, "\x0a\x02\x01\x02"...)
	long := strings.Repeat("x", 300)
	in := bytes.Join([][]byte{
		text(""), sample, text("gearloop/sched.(*Sched).Handle"), text("/home/someone/gearloop/sched/handle.go"),
		number(timeField, 1<<60), text("/tmp/" + long), period,
	}, nil)
	want := bytes.Join([][]byte{
		text(""), sample, text("gearloop/sched.(*Sched).Handle"), text("handle.go"), text(long), period,
	}, nil)
	out, err := anonymous(zipped(t, in))
	if err != nil {
		t.Fatal(err)
	}
	if got := unzipped(t, out); !bytes.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for _, cut := range []int{1, 5, len(in) - 2} {
		if _, err := anonymous(zipped(t, in[:cut])); err == nil {
			t.Errorf("no error for the first %d bytes", cut)
		}
	}
	if _, err := anonymous(in); err == nil {
		t.Error("no error for what is not compressed")
	}
}

// TestGuide: the profile that the program is built with is one of this program, is small, and names neither a directory
// nor a date.
func TestGuide(t *testing.T) {
	content, err := os.ReadFile("../../cmd/gearloop/gearloop.pgo")
	if err != nil {
		t.Fatal(err)
	}
	if len(content) > 64<<10 {
		t.Errorf("it takes %d bytes", len(content))
	}
	seen := map[string]bool{}
	for rest := unzipped(t, content); len(rest) > 0; {
		f, err := nextField(rest)
		if err != nil {
			t.Fatal(err)
		}
		rest = rest[len(f.whole):]
		switch f.number {
		case stringField:
			seen[string(f.content)] = true
			if bytes.HasPrefix(f.content, []byte("/")) {
				t.Errorf("it names %q", f.content)
			}
		case timeField:
			t.Error("it has a date")
		}
	}
	for _, name := range []string{"gearloop/sched.(*Sched).Handle", "gearloop/reactor.(*conn).flush"} {
		if !seen[name] {
			t.Errorf("%s is missing", name)
		}
	}
}

func zipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func unzipped(t *testing.T, b []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := out.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
