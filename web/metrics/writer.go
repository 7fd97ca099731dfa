package metrics

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gearloop/internal/histogram"
)

// flushSize is the size of one write, in bytes.
const flushSize = 16 << 10

// writer writes the text format.
type writer struct {
	out io.Writer
	b   []byte
	err error
	now family // the current family
	new bool   // no sample of it was written yet
}

// begin begins a family. A family without samples is not written.
func (w *writer) begin(f family) { w.now, w.new = f, true }

// sample writes a sample of the current family, with its labels' values.
func (w *writer) sample(value float64, labels ...string) { w.line("", value, "", labels) }

// count writes a sample that is a whole number.
func (w *writer) count(n uint64, labels ...string) { w.line("", float64(n), "", labels) }

func (w *writer) line(suffix string, value float64, le string, labels []string) {
	b := w.b
	if f := &w.now; w.new {
		w.new = false
		b = fmt.Appendf(b, "# HELP %s %s\n# TYPE %s %s\n", f.name, f.help, f.name, f.kind)
	}
	b = append(append(b, w.now.name...), suffix...)
	sep := byte('{')
	for i, name := range w.now.labels {
		b = append(append(append(b, sep), name...), '=', '"')
		b = appendEscaped(b, labels[i])
		b = append(b, '"')
		sep = ','
	}
	if le != "" {
		b = append(append(append(b, sep), `le="`...), le...)
		b = append(b, '"')
		sep = ','
	}
	if sep == ',' {
		b = append(b, '}')
	}
	b = append(b, ' ')
	b = appendValue(b, value)
	w.b = append(b, '\n')
	if len(w.b) >= flushSize {
		w.flush()
	}
}

// times writes a histogram of times, in seconds.
func (w *writer) times(h *histogram.Histogram, bounds histogram.Bounds, labels ...string) {
	w.histogram(h, bounds, float64(time.Second), labels)
}

func (w *writer) histogram(h *histogram.Histogram, bounds histogram.Bounds, unit float64, labels []string) {
	n := uint64(0)
	for i, bound := range bounds {
		n += h.Buckets[i]
		w.line("_bucket", float64(n), strconv.FormatFloat(float64(bound)/unit, 'g', -1, 64), labels)
	}
	n += h.Buckets[len(bounds)]
	w.line("_bucket", float64(n), "+Inf", labels)
	w.line("_sum", float64(h.Sum)/unit, "", labels)
	w.line("_count", float64(n), "", labels)
}

// flush writes the buffer, and yields to other goroutines.
func (w *writer) flush() {
	if w.err == nil && len(w.b) > 0 {
		_, w.err = w.out.Write(w.b)
	}
	w.b = w.b[:0]
	runtime.Gosched()
}

// appendValue appends a number in the text format.
func appendValue(b []byte, v float64) []byte {
	switch {
	case math.IsInf(v, 1):
		return append(b, "+Inf"...)
	case v == math.Trunc(v) && math.Abs(v) < 1<<53:
		return strconv.AppendInt(b, int64(v), 10)
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}

// appendEscaped appends a label's value in the text format.
func appendEscaped(b []byte, text string) []byte {
	for i := range len(text) {
		switch c := text[i]; c {
		case '\\':
			b = append(b, `\\`...)
		case '"':
			b = append(b, `\"`...)
		case '\n':
			b = append(b, `\n`...)
		default:
			b = append(b, c)
		}
	}
	return b
}

// labelOf returns a function's name as a label, which must be UTF-8: unchanged if it is, otherwise with \xNN
// for each byte that is not part of a character and for each backslash. Names that contain \x are written so
// as well, so that no two names have the same label.
func labelOf(name string) string {
	if utf8.ValidString(name) && !strings.Contains(name, `\x`) {
		return name
	}
	var b []byte
	for i := 0; i < len(name); {
		r, size := utf8.DecodeRuneInString(name[i:])
		if r == utf8.RuneError && size == 1 || r == '\\' {
			b = fmt.Appendf(b, `\x%02x`, name[i])
		} else {
			b = append(b, name[i:i+size]...)
		}
		i += size
	}
	return string(b)
}
