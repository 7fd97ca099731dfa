package main

import (
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/spf13/pflag"

	"gearloop/internal/dialect"
)

// mistakes are all errors of a file, at least one. A server that does not start reports the first.
type mistakes []error

func (m mistakes) Error() string { return m[0].Error() }

func (m mistakes) Unwrap() []error { return m }

// setting is a line of a configuration file in our own form.
type setting struct {
	name, value string
	bare        bool   // only a name, as for a switch
	where       string // FILE:LINE
}

// notInFile are options that a configuration file cannot set: those that ask for output, and the name of the
// file itself.
var notInFile = map[string]bool{"help": true, "version": true, "check-args": true, "config-file": true}

// readSettings reads a configuration file in our own form: each line is NAME = VALUE, or the NAME of a
// switch, with or without the dashes of the command line. # begins a comment at the beginning of a line and
// after a blank. Double quotes around a value preserve blanks and #; there are no escapes. It calls each with
// every setting and collects the errors. The error is of type mistakes.
func readSettings(path string, each func(setting) error) error {
	text, err := configText(path)
	if err != nil {
		return mistakes{fmt.Errorf("could not open configuration file: %w", err)}
	}
	var wrong mistakes
	number := 0
	for line := range strings.Lines(strings.TrimPrefix(string(text), "\ufeff")) {
		number++
		s, err := parseSetting(line)
		s.where = fmt.Sprintf("%s:%d", path, number)
		switch {
		case err != nil:
			wrong = append(wrong, fmt.Errorf("%s: %w", s.where, err))
		case s.name != "":
			if err := each(s); err != nil {
				wrong = append(wrong, err)
			}
		}
	}
	if len(wrong) > 0 {
		return wrong
	}
	return nil
}

// parseSetting parses a line; the name is empty if there is no setting.
func parseSetting(line string) (s setting, err error) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return s, nil
	}
	end := strings.IndexAny(line, "= \t")
	if end < 0 {
		end = len(line)
	}
	name, rest := strings.TrimPrefix(line[:end], "--"), strings.TrimSpace(line[end:])
	switch {
	case name == "" || strings.ContainsAny(name, `[]{}:"'`) || name[0] == '-':
		return s, fmt.Errorf("%q is not an option: write NAME = VALUE", withoutComment(line))
	case rest == "" || rest[0] == '#':
		return setting{name: name, bare: true}, nil
	case rest[0] != '=':
		return s, fmt.Errorf("%q has no = behind the name: write %s = %s", withoutComment(line), name, withoutComment(rest))
	}
	value := strings.TrimSpace(rest[1:])
	if !strings.HasPrefix(value, `"`) {
		return setting{name: name, value: withoutComment(value)}, nil
	}
	value, rest, closed := strings.Cut(value[1:], `"`)
	if rest = strings.TrimSpace(rest); !closed || rest != "" && rest[0] != '#' {
		return s, fmt.Errorf("the quotes of %s are wrong: a value that begins with a double quote has one more, at its end", name)
	}
	return setting{name: name, value: value}, nil
}

// applySettings sets flags from a configuration file, unless they are set already. Its error is of type
// mistakes.
func applySettings(path string, flags *pflag.FlagSet) error {
	before, first := map[string]bool{}, map[string]string{}
	flags.Visit(func(f *pflag.Flag) { before[f.Name] = true })
	return readSettings(path, func(s setting) error {
		if err := s.check(flags, first); err != nil {
			return fmt.Errorf("%s: %w", s.where, err)
		}
		if before[s.name] {
			return nil // its value is not checked, as for a variable
		}
		return setFrom(flags, s.name, s.text(flags), s.where+": --"+s.name)
	})
}

// check validates a line except for its value. first maps options to where they were set first.
func (s setting) check(flags *pflag.FlagSet, first map[string]string) error {
	flag := flags.Lookup(s.name)
	switch {
	case notInFile[s.name]:
		return fmt.Errorf("--%s has a meaning on the command line only", s.name)
	case flag == nil:
		return fmt.Errorf("unknown option %q%s", s.name, s.hint(flags))
	case s.bare && !isSwitch(flag):
		return fmt.Errorf("%s needs a value: write %s = VALUE", s.name, s.name)
	case !s.bare && s.value == "":
		return fmt.Errorf("--%s: %w", s.name, errEmpty)
	}
	if at, ok := first[s.name]; ok && flag.Value.Type() != repeatable {
		return fmt.Errorf("%s is set already, at %s: remove one of them", s.name, at)
	}
	first[s.name] = s.where
	return nil
}

// text returns the value in the form that the flag accepts.
func (s setting) text(flags *pflag.FlagSet) string {
	if !isSwitch(flags.Lookup(s.name)) {
		return s.value
	}
	switch strings.ToLower(s.value) {
	case "", "yes", "on":
		return "true"
	case "no", "off":
		return "false"
	}
	return s.value
}

// hint suggests, in parentheses, which option may have been meant.
func (s setting) hint(flags *pflag.FlagSet) string {
	if flags.ShorthandLookup(s.name[:1]) != nil && len(s.name) == 1 {
		return " (write " + flags.ShorthandLookup(s.name).Name + ")"
	}
	if hint := ofGearmand(flags, s.name); hint != "" {
		return " (" + hint + ")"
	}
	if near := nearest(s.name, flagNames(flags)); near != "" {
		return " (did you mean " + near + "?)"
	}
	return " (see gearloop serve --help)"
}

// streams are the configuration files that can be read only once, such as a pipe (<(…) of a shell): the dialect in a file
// decides how it is read again.
var streams struct {
	sync.Mutex
	texts map[string][]byte
}

// configText reads a configuration file, again if need be.
func configText(path string) ([]byte, error) {
	streams.Lock()
	defer streams.Unlock()
	if text, read := streams.texts[path]; read {
		return text, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		if streams.texts == nil {
			streams.texts = map[string][]byte{}
		}
		streams.texts[path] = text
	}
	return text, nil
}

// dialectInFile returns the dialect in a configuration file, "" if it has none. Errors are left to the full
// parse.
func dialectInFile(path string) (name string) {
	readSettings(path, func(s setting) error {
		if s.name == "dialect" {
			name = s.value
		}
		return nil
	})
	return name
}

// fromFile sets the remaining options from the configuration file, if there is one. It returns all errors.
func (o *options) fromFile(flags *pflag.FlagSet) error {
	if o.configFile == "" {
		return nil
	}
	if err := applySettings(o.configFile, flags); err != nil {
		return err
	}
	if o.dialect.Dialect != dialect.Perl {
		return fmt.Errorf("%s: the file was changed while it was read", originOf(flags, "dialect"))
	}
	return o.noteFile(flags)
}
