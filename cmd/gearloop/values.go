package main

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"gearloop/admin"
	"gearloop/internal/dialect"
)

// Every flag's Set quotes the value and says what it must be. The caller knows where the value was written (a
// flag, a variable, a line of a file) and prefixes that.

// size is a number of bytes, written as 64M or 100K or 1G.
type size int64

// automatic means that the program chooses.
const automatic size = -1

func (s *size) String() string {
	switch n := int64(*s); {
	case *s == automatic:
		return "auto"
	case n > 0 && n%(1<<30) == 0:
		return strconv.FormatInt(n>>30, 10) + "G"
	case n > 0 && n%(1<<20) == 0:
		return strconv.FormatInt(n>>20, 10) + "M"
	case n > 0 && n%(1<<10) == 0:
		return strconv.FormatInt(n>>10, 10) + "K"
	default:
		return strconv.FormatInt(n, 10)
	}
}

func (s *size) Set(text string) error {
	t := strings.ToUpper(strings.TrimSpace(text))
	t = strings.TrimSuffix(strings.TrimSuffix(t, "B"), "I")
	shift := 0
	if n := len(t); n > 0 {
		if i := strings.IndexByte("KMGT", t[n-1]); i >= 0 {
			shift, t = 10*(i+1), t[:n-1]
		}
	}
	n, err := strconv.ParseInt(t, 10, 64)
	if err != nil || n < 0 || n > 1<<50>>shift {
		return fmt.Errorf("%q is not a size, such as 65536 or 64M", text)
	}
	*s = size(n << shift)
	return nil
}

func (s *size) Type() string { return "bytes" }

// bounded is a size with bounds.
type bounded struct {
	*size
	min, max size
	rule     string // what the value must be
}

func (b bounded) Set(text string) error {
	var s size
	if err := s.Set(text); err != nil {
		return err
	}
	if s < b.min || s > b.max {
		return fmt.Errorf("%q is out of range: it must be %s", text, b.rule)
	}
	*b.size = s
	return nil
}

// autoSize is a size that may also be "auto".
type autoSize struct{ *size }

func (s autoSize) Set(text string) error {
	if text == "auto" {
		*s.size = automatic
		return nil
	}
	var n size
	if err := n.Set(text); err != nil {
		return err
	}
	if n > 0 && n < minMemory {
		return fmt.Errorf("%q is too little: it must be at least 1M, 0 (no bound) or auto", text)
	}
	*s.size = n
	return nil
}

// duration is a time such as 1m30s, or a number of seconds.
type duration time.Duration

func (d *duration) String() string { return time.Duration(*d).String() }

func (d *duration) Set(text string) error {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		if !(seconds >= 0 && seconds <= 1e9) {
			return fmt.Errorf("%q is out of range: it must be from 0 to 1000000000 seconds", text)
		}
		*d = duration(seconds * float64(time.Second))
		return nil
	}
	parsed, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return fmt.Errorf("%q is not a time, such as 90 (seconds) or 1m30s%s", text, typographicMinus(text))
	case parsed < 0:
		return fmt.Errorf("%q is negative: it must be 0 or more", text)
	}
	*d = duration(parsed)
	return nil
}

func (d *duration) Type() string { return "time" }

// number is a whole number with bounds.
type number[T int | uint16 | uint32] struct {
	at       *T
	min, max T
	rule     string // what it must be; "" = from min to max
}

func (n *number[T]) String() string { return fmt.Sprint(*n.at) }

func (n *number[T]) Set(text string) error {
	rule := n.rule
	if rule == "" {
		rule = fmt.Sprintf("from %d to %d", n.min, n.max)
	}
	parsed, err := strconv.ParseInt(text, 10, 64)
	switch {
	case outOfRange(err), err == nil && (parsed < int64(n.min) || parsed > int64(n.max)):
		return fmt.Errorf("%q is out of range: it must be %s", text, rule)
	case err != nil:
		return fmt.Errorf("%q is not a whole number: it must be %s%s", text, rule, typographicMinus(text))
	}
	*n.at = T(parsed)
	return nil
}

func (n *number[T]) Type() string { return "number" }

// orNone is a number for which -1 means 0.
type orNone struct{ *number[uint32] }

func (n orNone) Set(text string) error {
	if text == "-1" {
		text = "0"
	}
	return n.number.Set(text)
}

// seconds is a number of seconds, possibly with a fraction, or -1.
type seconds struct {
	at   *float64
	rule string // what it must be
}

func (s *seconds) String() string { return strconv.FormatFloat(*s.at, 'g', -1, 64) }

func (s *seconds) Set(text string) error {
	parsed, err := strconv.ParseFloat(text, 64)
	switch {
	case outOfRange(err), err == nil && (parsed < 0 && parsed != -1 || math.IsNaN(parsed) || parsed > 1e9):
		return fmt.Errorf("%q is out of range: it must be %s", text, s.rule)
	case err != nil:
		return fmt.Errorf("%q is not a number of seconds: it must be %s%s", text, s.rule, typographicMinus(text))
	}
	*s.at = parsed
	return nil
}

func (s *seconds) Type() string { return "seconds" }

// outOfRange reports whether a number is valid but too large for its type.
func outOfRange(err error) bool {
	return errors.Is(err, strconv.ErrRange)
}

// typographicMinus returns a hint for a number copied from a typeset page.
func typographicMinus(text string) string {
	if strings.ContainsAny(text, "−–") {
		return ` (it has a typographic minus; type "-")`
	}
	return ""
}

// choice is a flag with a fixed set of words.
type choice struct {
	at    *string
	words []string
	typ   string
}

func (c *choice) String() string { return *c.at }

func (c *choice) Set(text string) error {
	if !slices.Contains(c.words, text) {
		return notOneOf(text, c.words)
	}
	*c.at = text
	return nil
}

func (c *choice) Type() string { return c.typ }

// notOneOf is the error for an unknown word.
func notOneOf(text string, words []string) error {
	last := len(words) - 1
	list := words[last]
	if last > 0 {
		list = strings.Join(words[:last], ", ") + " or " + list
	}
	return fmt.Errorf("%q is unknown: it must be %s", text, list)
}

// text is a flag for a word that must not be empty: an empty one is usually an unset variable of a script,
// and continuing without the option would do something else than requested.
type text struct {
	at  *string
	typ string
}

func (t *text) String() string { return *t.at }

func (t *text) Set(value string) error {
	if value == "" {
		return errEmpty
	}
	*t.at = value
	return nil
}

func (t *text) Type() string { return t.typ }

// mode is a flag for the permissions of a file.
type mode uint32

func (m *mode) String() string { return fmt.Sprintf("%04o", uint32(*m)) }

func (m *mode) Set(text string) error {
	n, err := strconv.ParseUint(text, 8, 32)
	if err != nil || n == 0 || n > 0o777 || len(text) < 3 {
		return fmt.Errorf("%q is not a mode: it must be three octal digits, such as 660", text)
	}
	*m = mode(n)
	return nil
}

func (m *mode) Type() string { return "mode" }

// errEmpty is the error for an empty value.
var errEmpty = fmt.Errorf("the value is empty: give one, or leave the option out")

// dialectFlag is the name of a dialect.
type dialectFlag struct{ *dialect.Dialect }

func (d *dialectFlag) String() string {
	if d.Dialect == nil {
		return ""
	}
	return d.Name
}

func (d *dialectFlag) Set(name string) error {
	found, err := dialect.Named(name)
	if err != nil {
		return notOneOf(name, dialect.Names())
	}
	d.Dialect = found
	return nil
}

func (d *dialectFlag) Type() string { return "name" }

// adminFlag is who may send text commands that change something.
type adminFlag struct {
	admin.Allow
	given bool
}

func (a *adminFlag) Set(name string) error {
	allow, err := admin.ParseAllow(name)
	if err != nil {
		return notOneOf(name, []string{"local", "any", "unix", "none"})
	}
	a.Allow, a.given = allow, true
	return nil
}

func (a *adminFlag) Type() string { return "who" }

// logLevels are the log logLevels.
var logLevels = []string{"debug", "info", "warn", "error"}

// levelFlag is a log level.
type levelFlag struct{ slog.Level }

func (l *levelFlag) String() string { return strings.ToLower(l.Level.String()) }

func (l *levelFlag) Set(name string) error {
	if !slices.Contains(logLevels, strings.ToLower(name)) {
		return notOneOf(name, logLevels)
	}
	return l.UnmarshalText([]byte(name))
}

func (l *levelFlag) Type() string { return "level" }

// setter is a flag that calls a function.
type setter struct {
	text, typ string
	set       func(text string) error
}

func (s *setter) String() string { return s.text }

func (s *setter) Set(text string) error {
	s.text = text
	return s.set(text)
}

func (s *setter) Type() string { return s.typ }

// integer returns a flag for a decimal number.
func integer[T int32 | uint32 | uint64](at *T) *setter {
	return &setter{text: fmt.Sprint(*at), typ: "number", set: func(text string) (err error) {
		n, err := parseInteger[T](text)
		if err == nil {
			*at = n
		}
		return err
	}}
}

// parseInteger parses a decimal number with an optional sign. A negative number for an unsigned type wraps
// around, as in C.
func parseInteger[T int32 | uint32 | uint64](text string) (T, error) {
	digits, negative := strings.CutPrefix(text, "-")
	if !negative {
		digits = strings.TrimPrefix(text, "+")
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	value := T(n)
	switch {
	case outOfRange(err), err == nil && (uint64(value) != n || value < 0):
		most := uint64(1)<<31 - 1
		if T(0)-1 > 0 {
			most = uint64(T(0) - 1)
		}
		return 0, fmt.Errorf("%q is out of range: it must be at most %d", text, most)
	case err != nil:
		return 0, fmt.Errorf("%q is not a whole number%s", text, typographicMinus(text))
	}
	if negative {
		value = -value
	}
	return value, nil
}
