package transfer

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"gearloop/store"
)

// jsonJob is a job as a JSON object, for writing; jsonLine is for reading. Writer.large relies on the order
// of the last two fields.
type jsonJob struct {
	Number     string     `json:"number,omitempty"` // a string, because it exceeds the precision of JSON numbers in many programs
	Function   *string    `json:"function"`
	Function64 []byte     `json:"function_base64,omitempty"`
	Unique     string     `json:"unique,omitempty"`
	Unique64   []byte     `json:"unique_base64,omitempty"`
	Reducer    string     `json:"reducer,omitempty"`
	Reducer64  []byte     `json:"reducer_base64,omitempty"`
	Priority   string     `json:"priority,omitempty"` // high, normal, low; normal if absent
	Due        *time.Time `json:"due,omitempty"`
	Retries    uint16     `json:"retries,omitempty"`
	Argument   string     `json:"argument"`
	Argument64 []byte     `json:"argument_base64,omitempty"`
}

var priorityNames = [...]string{store.High: "high", store.Normal: "normal", store.Low: "low"}

// jsonSettings is the line of the settings of functions, which comes first if there are any.
type jsonSettings struct {
	Settings json.RawMessage `json:"settings"`
	Node     string          `json:"node,omitempty"`
}

// Writer writes jobs as lines of JSON. It must be flushed at the end.
type Writer struct {
	out  *bufio.Writer
	line bytes.Buffer
	kept []byte        // a large argument
	enc  *json.Encoder // to line
}

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer) *Writer {
	lines := &Writer{out: bufio.NewWriterSize(w, 64<<10)}
	lines.enc = json.NewEncoder(&lines.line)
	lines.enc.SetEscapeHTML(false)
	return lines
}

// Flush writes what is buffered.
func (w *Writer) Flush() error { return w.out.Flush() }

// Settings writes the settings of functions: of a node, or "" for a store of one broker. An error without a
// write means that the document is no JSON.
func (w *Writer) Settings(document []byte, node string) error {
	return w.encode(jsonSettings{document, node})
}

func (w *Writer) encode(value any) error {
	w.line.Reset()
	if err := w.enc.Encode(value); err != nil {
		return err
	}
	_, err := w.out.Write(w.line.Bytes())
	return err
}

// Job writes a job; number 0 means that it has no handle. argument is nil if the argument is in the job.
// Otherwise it writes the argument, in pieces. It is called a second time for an argument of more than
// keepMost bytes, which is never held whole. When its first call returns an error nothing was written.
func (w *Writer) Job(job *store.Job, argument func(io.Writer) error) error {
	j := &jsonJob{Retries: job.Retries, Priority: priorityNames[min(job.Priority, store.Low)]}
	if job.Number != 0 {
		j.Number = strconv.FormatUint(job.Number, 10)
	}
	if job.Due != 0 {
		due := store.DueTime(job.Due).UTC()
		j.Due = &due
	}
	j.Function = new(string)
	put64(job.Function, j.Function, &j.Function64)
	put64(job.Unique, &j.Unique, &j.Unique64)
	put64(job.Reducer, &j.Reducer, &j.Reducer64)
	if argument != nil {
		return w.large(j, argument)
	}
	switch len(job.Argument) {
	case 0:
	case 1:
		put64(job.Argument[0], &j.Argument, &j.Argument64)
	default:
		put64(bytes.Join(job.Argument, nil), &j.Argument, &j.Argument64)
	}
	return w.encode(j)
}

// put64 sets one of the two.
func put64[T ~string | ~[]byte](b T, text *string, coded *[]byte) {
	if utf8.ValidString(string(b)) {
		*text = string(b)
	} else {
		*coded = []byte(b)
	}
}

// large writes a job and the argument that comes in pieces.
func (w *Writer) large(j *jsonJob, argument func(io.Writer) error) error {
	look := &firstLook{kept: w.kept[:0]}
	err := argument(look)
	w.kept = look.kept
	if err != nil {
		return err
	}
	if !look.more {
		argument = func(to io.Writer) error {
			_, err := to.Write(look.kept)
			return err
		}
	}
	w.line.Reset()
	if err := w.enc.Encode(j); err != nil {
		return err
	}
	const end, quote = "}\n", `"`
	head := bytes.TrimSuffix(w.line.Bytes(), []byte(end))
	if look.valid() {
		head = bytes.TrimSuffix(head, []byte(quote))
	} else {
		head = append(head, `,"argument_base64":"`...)
	}
	if _, err := w.out.Write(head); err != nil {
		return err
	}
	if look.valid() {
		text := &escaper{w: w}
		if err = argument(text); err == nil && len(text.rest) > 0 {
			err = errChanged
		}
	} else {
		coded := base64.NewEncoder(base64.StdEncoding, w.out)
		if err = argument(coded); err == nil {
			err = coded.Close()
		}
	}
	if err != nil {
		return err
	}
	_, err = w.out.WriteString(quote + end)
	return err
}

var errChanged = errors.New("the argument changed while it was read")

// keepMost is the size in bytes up to which an argument that comes in pieces is read once and held.
const keepMost = 4 << 20

// firstLook finds out whether an argument is valid UTF-8, and holds it if it is not too large.
type firstLook struct {
	kept    []byte
	more    bool // not all of it is kept
	invalid bool
	rest    []byte // the beginning of a rune
}

func (l *firstLook) valid() bool { return !l.invalid && len(l.rest) == 0 }

func (l *firstLook) Write(p []byte) (int, error) {
	if l.more = l.more || len(l.kept)+len(p) > keepMost; !l.more {
		l.kept = append(l.kept, p...)
	}
	if !l.invalid {
		var whole []byte
		whole, l.rest = cutRunes(l.rest, p)
		l.invalid = !utf8.Valid(whole)
	}
	return len(p), nil
}

// cutRunes appends p to the beginning of a rune, and cuts off the beginning of another.
func cutRunes(before, p []byte) (whole, rest []byte) {
	whole = p
	if len(before) > 0 {
		whole = append(before, p...)
	}
	n := len(whole)
	for n > 0 && len(whole)-n < utf8.UTFMax && !utf8.RuneStart(whole[n-1]) {
		n--
	}
	if n > 0 && !utf8.FullRune(whole[n-1:]) {
		n--
	} else {
		n = len(whole)
	}
	return whole[:n:n], bytes.Clone(whole[n:])
}

// escaper writes text as the inside of a JSON string.
type escaper struct {
	w    *Writer
	rest []byte // the beginning of a rune
}

func (e *escaper) Write(p []byte) (int, error) {
	var whole []byte
	whole, e.rest = cutRunes(e.rest, p)
	if !utf8.Valid(whole) {
		return 0, errChanged
	}
	line := &e.w.line
	line.Reset()
	if err := e.w.enc.Encode(string(whole)); err != nil {
		return 0, err
	}
	if _, err := e.w.out.Write(line.Bytes()[1 : line.Len()-2]); err != nil { // without quotes and line break
		return 0, err
	}
	return len(p), nil
}
