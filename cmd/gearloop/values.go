package main

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"gearloop/admin"
	"gearloop/internal/dialect"
)

// size is a number of bytes, written as 64M or 100K or 1G.
type size int64

// automatic leaves it to the program.
const automatic size = -1

// autoSize is a size that may also be left to the program, with the word auto.
type autoSize struct{ *size }

func (s autoSize) Set(text string) error {
	if text == "auto" {
		*s.size = automatic
		return nil
	}
	return s.size.Set(text)
}

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

// duration is a time, written as 1m30s, or as a number of seconds.
type duration time.Duration

func (d *duration) String() string { return time.Duration(*d).String() }

func (d *duration) Set(text string) error {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		if !(seconds >= 0 && seconds <= 1e9) {
			return fmt.Errorf("%q is out of range", text)
		}
		*d = duration(seconds * float64(time.Second))
		return nil
	}
	parsed, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is not a time, such as 90 (seconds) or 1m30s", text)
	}
	*d = duration(parsed)
	return nil
}

func (d *duration) Type() string { return "time" }

// dialectFlag is the name of a dialect.
type dialectFlag struct{ *dialect.Dialect }

func (d *dialectFlag) String() string {
	if d.Dialect == nil {
		return ""
	}
	return d.Name
}

func (d *dialectFlag) Set(name string) (err error) {
	found, err := dialect.Named(name)
	if err == nil {
		d.Dialect = found
	}
	return err
}

func (d *dialectFlag) Type() string { return "name" }

// adminFlag is who may send text commands that change something.
type adminFlag struct{ admin.Allow }

func (a *adminFlag) Set(name string) (err error) {
	allow, err := admin.ParseAllow(name)
	if err == nil {
		a.Allow = allow
	}
	return err
}

func (a *adminFlag) Type() string { return "who" }

// levelFlag is a log level.
type levelFlag struct{ slog.Level }

func (l *levelFlag) String() string { return strings.ToLower(l.Level.String()) }

func (l *levelFlag) Set(name string) error {
	if err := l.Level.UnmarshalText([]byte(name)); err != nil {
		return fmt.Errorf("unknown level %q (there are: debug, info, warn, error)", name)
	}
	return nil
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

// integer returns a flag for a number in decimal digits.
func integer[T int32 | uint32 | uint64](at *T) *setter {
	return &setter{text: fmt.Sprint(*at), typ: "number", set: func(text string) (err error) {
		n, err := parseInteger[T](text)
		if err == nil {
			*at = n
		}
		return err
	}}
}

// parseInteger reads a number in decimal digits, with a sign if need be. A negative number for an
// unsigned type counts from the top, as in C.
func parseInteger[T int32 | uint32 | uint64](text string) (T, error) {
	digits, negative := strings.CutPrefix(text, "-")
	if !negative {
		digits = strings.TrimPrefix(text, "+")
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	value := T(n)
	if err != nil || uint64(value) != n || value < 0 {
		return 0, fmt.Errorf("%q is not a number, or out of range", text)
	}
	if negative {
		value = -value
	}
	return value, nil
}
