package codec

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzNext checks what Next promises for any bytes: no panic, no allocation, items that lie
// within the buffer, and the same items however the bytes are cut.
func FuzzNext(f *testing.F) {
	glued := ""
	for _, w := range wires() {
		f.Add([]byte(w.raw), uint32(anySize), uint16(1))
		glued += w.raw
	}
	for _, l := range lines {
		f.Add([]byte(l.raw), uint32(0), uint16(1))
		glued += l.raw
	}
	for _, b := range brokenWires {
		f.Add([]byte(b.raw), uint32(brokenMaxData), uint16(3))
	}
	f.Add([]byte(glued), uint32(anySize), uint16(1460))

	f.Fuzz(func(t *testing.T, buf []byte, limit uint32, step uint16) {
		maxData := int(min(limit, 64<<20))
		whole := bytes.Clone(buf)
		checkItem(t, buf, maxData)
		checkRequest(t, buf, maxData)
		items, left, err := walk(buf, maxData)
		next := func() { Next(buf, maxData) }
		allocs := testing.AllocsPerRun(5, next)
		for try := 0; try < 2 && allocs > 0; try++ { // another goroutine may have allocated meanwhile
			allocs = testing.AllocsPerRun(5, next)
		}
		if allocs > 0 {
			t.Errorf("%v allocations", allocs)
		}
		// Each piece has Next look at all that is there: many small ones of a long
		// line take quadratic time.
		smallest := len(buf)/512 + 1
		for _, piece := range []int{smallest, max(int(step), smallest)} {
			got, gotLeft, gotErr := feed(t, buf, maxData, piece)
			compare(t, got, items)
			if gotErr != err || err == nil && gotLeft != left {
				t.Errorf("in pieces of %d: %d bytes left, error %v; at once: %d, %v", piece, gotLeft, gotErr, left, err)
			}
		}
		if !bytes.Equal(buf, whole) {
			t.Error("the buffer was changed")
		}
	})
}

// feed gives buf to Next as it would come from a socket, piece bytes at a time, and returns what
// walk does.
func feed(t *testing.T, buf []byte, maxData, piece int) (items []string, left int, err error) {
	var have []byte
	for len(buf) > 0 {
		n := min(piece, len(buf))
		have = append(have, buf[:n]...)
		buf = buf[n:]
		checkItem(t, have, maxData)
		got, left, err := walk(have, maxData)
		items = append(items, got...)
		if err != nil {
			return items, left, err
		}
		have = have[len(have)-left:]
	}
	return items, len(have), nil
}

// checkItem checks what every item must be, whatever the bytes are.
func checkItem(t *testing.T, buf []byte, maxData int) {
	t.Helper()
	it, err := Next(buf, maxData)
	if err != nil {
		return
	}
	ok := len(it.Data) <= len(buf) && it.Len <= len(buf) && it.Size <= maxData
	off := 0
	switch it.Kind {
	case Incomplete:
		ok = ok && it.Len == 0 && len(it.Data) == 0
	case Head:
		off = HeaderSize
		ok = ok && it.Len == len(buf) && len(it.Data) == len(buf)-HeaderSize && len(it.Data) < it.Size
	case Frame:
		off = HeaderSize
		ok = ok && it.Len == HeaderSize+it.Size && len(it.Data) == it.Size && cap(it.Data) == it.Size
	case Line:
		ok = ok && buf[it.Len-1] == '\n' && len(it.Data) <= MaxLine && !bytes.Contains(it.Data, []byte("\n"))
		ok = ok && strings.TrimSuffix(string(buf[:it.Len-1]), "\r") == string(it.Data)
	default:
		ok = false
	}
	if ok && len(it.Data) > 0 {
		ok = &it.Data[0] == &buf[off]
	}
	if !ok {
		t.Errorf("Next(%q, %d) = %s", buf, maxData, show(it))
	}
}

// checkRequest checks that Request finds exactly the whole requests that Next finds.
func checkRequest(t *testing.T, buf []byte, maxData int) {
	t.Helper()
	it, err := Next(buf, maxData)
	want := err == nil && it.Kind == Frame && !it.Response
	typ, data, ok := Request(buf, maxData)
	if ok != want || ok && (typ != it.Type || !bytes.Equal(data, it.Data) || HeaderSize+len(data) != it.Len || cap(data) != len(data)) {
		t.Errorf("Request: %v, %d bytes, %v; Next: %+v, %v", typ, len(data), ok, it, err)
	}
}

// FuzzCommand checks that Command loses nothing of a line but its blanks, and that Escape
// can be undone and keeps a line a line.
func FuzzCommand(f *testing.F) {
	for _, c := range commands {
		f.Add([]byte(c.line))
	}
	for _, l := range lines {
		f.Add([]byte(l.text))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		command, args := Command(line)
		if strings.Trim(command, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			t.Errorf("Command(%q): %q is no word in lower case", line, command)
		}
		rest, ok := strings.CutPrefix(lowerASCII(line), command)
		if !ok || len(rest) > 0 && len(strings.Trim(rest[:1], "abcdefghijklmnopqrstuvwxyz0123456789_")) == 0 {
			t.Errorf("Command(%q): %q is not the word it begins with", line, command)
		}
		if blanks, ok := bytes.CutSuffix(line[len(command):], []byte(args)); !ok ||
			strings.Trim(string(blanks), " \t\r\v\f") != "" || strings.IndexAny(args, " \t\r\v\f") == 0 {
			t.Errorf("Command(%q): %q is not the rest without its first blanks", line, args)
		}
		escaped := Escape(string(line))
		if strings.ContainsAny(escaped, " \r\n\x00") {
			t.Errorf("Escape(%q) = %q", line, escaped)
		}
		if got := unescape(escaped); got != string(line) {
			t.Errorf("Escape(%q) = %q, which says %q", line, escaped, got)
		}
	})
}

// lowerASCII returns text with A to Z in lower case, and all else as it is.
func lowerASCII(text []byte) string {
	b := bytes.Clone(text)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}

// unescape reads what Escape wrote.
func unescape(escaped string) string {
	var b strings.Builder
	for i := 0; i < len(escaped); i++ {
		switch c := escaped[i]; c {
		case '+':
			b.WriteByte(' ')
		case '%':
			const hex = "0123456789ABCDEF"
			b.WriteByte(byte(strings.IndexByte(hex, escaped[i+1])<<4 | strings.IndexByte(hex, escaped[i+2])))
			i += 2
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
