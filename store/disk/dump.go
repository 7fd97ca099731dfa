package disk

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
)

// jsonJob is a job as a JSON object, for writing; jsonLine is for reading. A value that is not valid UTF-8 is
// in the field whose name ends in 64.
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

// jsonSettings is the line of what is set on functions, which comes first if anything is.
type jsonSettings struct {
	Settings json.RawMessage `json:"settings"`
}

// put sets one of the two names.
func put64[T ~string | ~[]byte](b T, text *string, coded *[]byte) {
	if utf8.ValidString(string(b)) {
		*text = string(b)
	} else {
		*coded = []byte(b)
	}
}

// Dump writes the jobs in a directory that no broker has open to w, one JSON object a line, in the order in
// which they were submitted, behind what is set on functions. Of a damaged directory it writes what can be
// read, and returns an error that wraps a *DamageError.
func Dump(dir string, w io.Writer, watch ...Watch) error { return dump(watched(watch), dir, w) }

func dump(fs vfs.FS, dir string, w io.Writer) error {
	if err := exists(fs, dir); err != nil {
		return err
	}
	l, err := lock(fs, dir)
	if err != nil {
		return err
	}
	defer l.Close()
	state, jobs, err := directory(fs, dir, true)
	if err != nil {
		return err
	}
	lost := map[string]bool{}
	for _, d := range state.damage {
		lost[d.File] = true
	}
	out := bufio.NewWriterSize(w, 64<<10)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	document, err := loadSettings(fs, dir)
	if err == nil && document != nil {
		err = enc.Encode(jsonSettings{document})
	}
	badSettings := err
	if err != nil {
		badSettings = fmt.Errorf("%s: %w; what is set on functions is left out", fs.PathJoin(dir, SettingsName), err)
	}
	for _, number := range inOrder(jobs) {
		f := jobs[number]
		e, _, err := cutEntry(f.raw)
		if err != nil {
			return err
		}
		argument := e.argument
		if name := argumentName(number); f.large {
			if lost[name] {
				continue
			}
			var whole bytes.Buffer
			if err := readArgument(fs, fs.PathJoin(dir, name), f.size, &whole); err != nil {
				return err
			}
			argument = whole.Bytes()
		}
		if err := enc.Encode(jsonOf(&e, f, argument)); err != nil {
			return err
		}
		f.raw = nil
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if len(state.damage) > 0 {
		return errors.Join(&DamageError{Dir: dir, Damage: state.damage}, badSettings)
	}
	return badSettings
}

func jsonOf(e *entry, f *found, argument []byte) *jsonJob {
	j := &jsonJob{Retries: f.retries, Priority: priorityNames[min(f.priority, store.Low)]}
	if e.number&noHandle == 0 {
		j.Number = strconv.FormatUint(e.number, 10)
	}
	if e.due != 0 {
		due := store.DueTime(e.due).UTC()
		j.Due = &due
	}
	j.Function = new(string)
	put64(e.function, j.Function, &j.Function64)
	put64(e.unique, &j.Unique, &j.Unique64)
	put64(e.reducer, &j.Reducer, &j.Reducer64)
	put64(argument, &j.Argument, &j.Argument64)
	return j
}
