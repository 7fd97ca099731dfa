package transfer

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"gearloop/store"
)

// Item is what a text of lines says in one place.
type Item struct {
	Line     int // where it begins or, if it is not JSON, ends
	Job      *store.Job
	Settings []byte // instead of a job
	Node     string // whose settings they are; "" = of all
	Wrong    error  // an ImportError: it is neither
}

// Read calls f with each item of lines of JSON, until f returns an error.
func Read(r io.Reader, f func(*Item) error) error {
	lines := &lineReader{in: bufio.NewReaderSize(r, 64<<10), most: longestLine}
	for {
		text, line, err := lines.next()
		if err == nil {
			err = eachItem(text, line, f)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// longestLine bounds what one line may take, in bytes: an argument in which each byte is escaped, and the rest of a job.
const longestLine = 6*store.MaxArgument + 1<<20

// lineReader splits JSON lines into texts with one object or more: usually one line each, but an object may
// span lines. An object without an end ends before the next line that begins with a brace, so that it does
// not spoil others.
type lineReader struct {
	in   *bufio.Reader
	most int64  // bytes of a line
	line []byte // the line read ahead
	at   int    // its number
	err  error
}

// peek returns the next line, including its terminator if it has one.
func (l *lineReader) peek() []byte {
	if l.line == nil && l.err == nil {
		if l.line, l.err = l.read(); len(l.line) == 0 {
			l.line = nil
			return nil
		}
		l.at++
	}
	return l.line
}

// read reads the next line. A line that is too long is an error, and nothing behind it is read.
func (l *lineReader) read() (line []byte, err error) {
	for {
		part, err := l.in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err != bufio.ErrBufferFull:
			return line, err
		case int64(len(line)) > l.most:
			return nil, fmt.Errorf("line %d is longer than %d bytes, as no job is", l.at+1, l.most)
		}
	}
}

// next returns the next text that is not blank, and the number of its first line.
func (l *lineReader) next() (text []byte, line int, err error) {
	for len(bytes.TrimSpace(l.peek())) == 0 {
		if l.line == nil {
			return nil, 0, l.err
		}
		l.line = nil
	}
	text, line, l.line = l.line, l.at, nil
	var depth nesting
	for depth.in(text); depth.open() && len(text) < 2*store.MaxArgument; {
		more := l.peek()
		if more == nil || bytes.HasPrefix(bytes.TrimSpace(more), []byte("{")) {
			break
		}
		depth.in(more)
		text = append(text, more...)
		l.line = nil
	}
	return text, line, nil
}

// nesting is the depth of braces at which a text ends.
type nesting struct {
	braces          int
	string, escaped bool
}

func (n *nesting) open() bool { return n.braces > 0 }

func (n *nesting) in(text []byte) {
	n.string, n.escaped = false, false // a string cannot contain a line break
	for _, c := range text {
		switch {
		case n.escaped:
			n.escaped = false
		case n.string:
			n.escaped, n.string = c == '\\', c != '"'
		case c == '"':
			n.string = true
		case c == '{':
			n.braces++
		case c == '}':
			n.braces--
		}
	}
}

// eachItem calls f with each item in a text that begins at a line. It ends with the first error of f.
func eachItem(text []byte, line int, f func(*Item) error) error {
	in := json.NewDecoder(bytes.NewReader(text))
	in.DisallowUnknownFields()
	for {
		begin := int(in.InputOffset())
		begin += len(text[begin:]) - len(bytes.TrimLeft(text[begin:], " \t\r\n"))
		var l jsonLine
		err := in.Decode(&l)
		if err == io.EOF {
			return nil
		}
		var item Item
		switch {
		case err != nil:
		case l.Settings == nil && l.Node != "":
			err = errors.New("node: a job can't have one")
		case l.Settings == nil:
			item.Job, err = l.job()
		case l.Function != nil || l.Function64 != "":
			err = errors.New("settings: a job can't have any")
		default:
			item.Settings, item.Node = l.Settings, l.Node
		}
		syntax := (*json.SyntaxError)(nil)
		broken := errors.As(err, &syntax) || errors.Is(err, io.ErrUnexpectedEOF)
		if broken {
			begin = len(bytes.TrimRight(text, " \t\r\n"))
			if syntax != nil {
				begin = min(int(syntax.Offset), begin)
			}
		}
		if err != nil {
			item = Item{Wrong: ImportError{complaint(err)}}
		}
		item.Line = line + bytes.Count(text[:begin], []byte("\n"))
		if err := f(&item); err != nil || broken {
			return err
		}
	}
}

// complaint rephrases an error of package json.
func complaint(err error) error {
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch text := err.Error(); {
	case errors.Is(err, io.ErrUnexpectedEOF), strings.HasSuffix(text, `'\n' in string literal`):
		return errors.New("JSON ends early")
	case errors.As(err, &syntax):
		return fmt.Errorf("no JSON: %w", err)
	case errors.As(err, &typ) && typ.Field == "":
		return fmt.Errorf("%s instead of an object with a function", withArticle(typ.Value))
	case errors.As(err, &typ):
		value, _, _ := strings.Cut(typ.Value, " ")
		wanted := "a string"
		if typ.Field == "number" {
			wanted = `a string, as in "12"`
		}
		return fmt.Errorf("%s: %s instead of %s", typ.Field, withArticle(value), wanted)
	default:
		return errors.New(strings.TrimPrefix(text, "json: "))
	}
}

func withArticle(value string) string {
	if strings.HasPrefix(value, "a") || strings.HasPrefix(value, "o") {
		return "an " + value
	}
	return "a " + value
}

// jsonLine is a JSON object for reading. A value that is not valid UTF-8 is in base64, in the field whose
// name ends in 64.
type jsonLine struct {
	Number     string          `json:"number"`
	Function   *string         `json:"function"`
	Function64 string          `json:"function_base64"`
	Unique     string          `json:"unique"`
	Unique64   string          `json:"unique_base64"`
	Reducer    string          `json:"reducer"`
	Reducer64  string          `json:"reducer_base64"`
	Priority   string          `json:"priority"`
	Due        string          `json:"due"`
	Retries    json.RawMessage `json:"retries"`
	Argument   string          `json:"argument"`
	Argument64 string          `json:"argument_base64"`
	Settings   json.RawMessage `json:"settings"` // alone, or with node
	Node       string          `json:"node"`
}

// job converts a line to a job.
func (l *jsonLine) job() (*store.Job, error) {
	if l.Function == nil && l.Function64 == "" {
		return nil, errors.New("function is missing")
	}
	job := &store.Job{Priority: store.Normal}
	var argument string
	for _, f := range []struct {
		name        string
		to          *string
		text, coded string
	}{
		{"function", &job.Function, deref(l.Function), l.Function64}, {"unique", &job.Unique, l.Unique, l.Unique64},
		{"reducer", &job.Reducer, l.Reducer, l.Reducer64}, {"argument", &argument, l.Argument, l.Argument64},
	} {
		*f.to = f.text
		if f.coded == "" {
			continue
		}
		b, err := base64.StdEncoding.DecodeString(f.coded)
		if err != nil {
			return nil, fmt.Errorf("%s_base64: %w", f.name, err)
		}
		*f.to = string(b)
	}
	job.Argument = [][]byte{[]byte(argument)}
	if l.Due != "" {
		due, err := time.Parse(time.RFC3339Nano, l.Due)
		if err != nil {
			return nil, fmt.Errorf("due: %q is no time like 2030-01-31T12:00:00Z", l.Due)
		}
		job.Due = store.Due(due)
	}
	if len(l.Retries) > 0 {
		n, err := strconv.ParseUint(string(l.Retries), 10, 16)
		if err != nil {
			return nil, fmt.Errorf("retries: %s is no number from 0 to %d", l.Retries, math.MaxUint16)
		}
		job.Retries = uint16(n)
	}
	if l.Number != "" {
		n, err := strconv.ParseUint(l.Number, 10, 63)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("number: %q is no number from 1 to %d", l.Number, uint64(math.MaxInt64))
		}
		job.Number = n
	}
	if l.Priority == "" {
		return job, nil
	}
	for p, name := range priorityNames {
		if l.Priority == name {
			job.Priority = store.Priority(p)
			return job, nil
		}
	}
	return nil, fmt.Errorf("priority: %q is not high, normal or low", l.Priority)
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
