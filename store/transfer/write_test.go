package transfer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"gearloop/store"
	"gearloop/test/sample"
)

// inPieces returns a function that writes an argument in pieces of a size, and counts its calls.
func inPieces(argument []byte, size int, calls *int) func(io.Writer) error {
	return func(w io.Writer) error {
		*calls++
		for piece := range slices.Chunk(argument, size) {
			if n, err := w.Write(piece); err != nil || n != len(piece) {
				return errors.Join(err, io.ErrShortWrite)
			}
		}
		return nil
	}
}

// An argument that comes in pieces is written as one that comes whole, wherever the pieces end; one that is
// too large to be held is read twice.
func TestPieces(t *testing.T) {
	arguments := map[string][]byte{
		"empty":         {},
		"escapes":       []byte("a\"b\\c\n\r\t\x00\x1f<&>\u2028\u2029\x7f"),
		"runes":         []byte("ä€𝄞ä€𝄞 x 𝄞𝄞\ufffd"),
		"binary":        {0xff, 0, 1, 0xfe, 0xc3, 0x28},
		"a rune's head": []byte("abc\xf0\x9d\x84"),
		"surrogate":     []byte("\xed\xa0\x80 and more of it"),
		"large text":    bytes.Repeat([]byte("𝄞 € \\ \" ä "), keepMost/15),
		"large binary":  bytes.Repeat([]byte("𝄞 € \\ \" ä \xff"), keepMost/15),
	}
	for name, argument := range arguments {
		sizes := []int{1, 2, 3, 5, 7, 64 << 10}
		if len(argument) > keepMost {
			sizes = []int{4093, 256 << 10}[sample.Of(0, 1):]
		}
		job := &store.Job{Number: 77, Function: "f", Priority: store.Low, Argument: [][]byte{argument}}
		var want bytes.Buffer
		w := NewWriter(&want)
		if err := errors.Join(w.Job(job, nil), w.Flush()); err != nil {
			t.Fatal(err)
		}
		for _, size := range sizes {
			var got bytes.Buffer
			w, calls := NewWriter(&got), 0
			for range 2 {
				if err := w.Job(&store.Job{Number: 77, Function: "f", Priority: store.Low}, inPieces(argument, size, &calls)); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			if twice := append(want.Bytes()[:want.Len():want.Len()], want.Bytes()...); !bytes.Equal(got.Bytes(), twice) {
				t.Errorf("%s in pieces of %d: %.300q, want %.300q", name, size, got.Bytes(), twice)
			}
			if want := 2; len(argument) <= keepMost && calls != want || len(argument) > keepMost && calls != 2*want {
				t.Errorf("%s: read %d times", name, calls)
			}
		}
		n := 0
		err := Read(&want, func(item *Item) error {
			n++
			if item.Wrong != nil || item.Job.Number != 77 || !bytes.Equal(item.Job.Argument[0], argument) {
				t.Errorf("%s: read back: %v, %+.100v", name, item.Wrong, item.Job)
			}
			return nil
		})
		if err != nil || n != 1 {
			t.Errorf("%s: %d items, %v", name, n, err)
		}
	}
}

// A job whose argument can't be read leaves no half line, and one that changes under the reader ends the
// dump.
func TestUnreadable(t *testing.T) {
	var got bytes.Buffer
	w := NewWriter(&got)
	bad := errors.New("a piece is missing")
	err := w.Job(&store.Job{Function: "f"}, func(w io.Writer) error {
		_, _ = w.Write([]byte("the first piece"))
		return bad
	})
	if !errors.Is(err, bad) {
		t.Error(err)
	}
	if err := w.Job(&store.Job{Function: "g"}, nil); err != nil || w.Flush() != nil || got.String() != `{"function":"g","priority":"high","argument":""}`+"\n" {
		t.Errorf("%q, %v", got.String(), err)
	}
	for _, second := range []string{"\xff", strings.Repeat("x", 99) + "\xf0\x9d"} {
		call := 0
		err = NewWriter(io.Discard).Job(&store.Job{Function: "f"}, func(w io.Writer) (err error) {
			if call++; call == 1 {
				_, err = w.Write(make([]byte, keepMost+1))
				return err
			}
			_, err = w.Write([]byte(second))
			return err
		})
		if !errors.Is(err, errChanged) {
			t.Errorf("%q: %v", second, err)
		}
	}
}

// Settings are a line of their own, of a node or of all, and no part of a job.
func TestSettingsLines(t *testing.T) {
	var got bytes.Buffer
	w := NewWriter(&got)
	for node, document := range map[string]string{"": `{"a":1}`, "n": `{"a":[2]}`} {
		got.Reset()
		if err := errors.Join(w.Settings([]byte(document), node), w.Flush()); err != nil {
			t.Fatal(err)
		}
		err := Read(bytes.NewReader(got.Bytes()), func(item *Item) error {
			if string(item.Settings) != document || item.Node != node || item.Job != nil || item.Wrong != nil {
				t.Errorf("%s: %+v", got.String(), item)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	if err := w.Settings([]byte("{"), ""); err == nil {
		t.Error("half a document is written")
	}
	for text, want := range map[string]string{
		`{"function":"f","node":"n"}`: "node: a job can't have one",
		`{"node":7}`:                  "node: a number instead of a string",
	} {
		err := Read(strings.NewReader(text), func(item *Item) error { return item.Wrong })
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// FuzzRead: no text makes the reader fail or stop, and a job that it finds is written and read back as it is.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		`{"function":"f","argument":"x"}`, "{\n\"function\":\"f\"}\n{", `{"settings":{},"node":"n"}`, `{"function":"","function_base64":"Zv8=","number":"22"}`,
		`{"function":"f","due":"2030-01-31T12:00:00Z","retries":3,"priority":"low"}`, "hello\n{\"function\":\"f\"}}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		err := Read(bytes.NewReader(text), func(item *Item) error {
			if item.Job == nil {
				if item.Wrong == nil && (item.Settings == nil || !json.Valid(item.Settings)) {
					t.Errorf("neither a job nor settings: %+v", item)
				}
				return nil
			}
			var line bytes.Buffer
			w := NewWriter(&line)
			if err := errors.Join(w.Job(item.Job, nil), w.Flush()); err != nil {
				t.Fatal(err)
			}
			return Read(&line, func(again *Item) error {
				a, b := item.Job, again.Job
				if again.Wrong != nil || a.Number != b.Number || a.Function != b.Function || a.Unique != b.Unique || a.Reducer != b.Reducer ||
					a.Priority != b.Priority || a.Due != b.Due || a.Retries != b.Retries || !bytes.Equal(a.Argument[0], b.Argument[0]) {
					t.Errorf("%+v became %+v, %v", a, b, again.Wrong)
				}
				return nil
			})
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// A line without an end takes bounded memory.
func TestLongLine(t *testing.T) {
	lines := &lineReader{in: bufio.NewReaderSize(endless{}, 64), most: 1000}
	text, _, err := lines.next()
	if text != nil || err == nil || err.Error() != "line 1 is longer than 1000 bytes, as no job is" {
		t.Errorf("%q, %v", text, err)
	}
	lines = &lineReader{in: bufio.NewReaderSize(strings.NewReader(strings.Repeat("x", 900)+"\ny"), 64), most: 1000}
	if text, at, err := lines.next(); len(text) != 901 || at != 1 || err != nil {
		t.Errorf("%d bytes in line %d, %v", len(text), at, err)
	}
	if text, at, err := lines.next(); string(text) != "y" || at != 2 || err != nil {
		t.Errorf("%q in line %d, %v", text, at, err)
	}
}

// endless is a file without line breaks.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
