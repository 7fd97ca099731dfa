package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// given is one option as it was written, with its value; a switch has none.
type given struct {
	flag  *pflag.Flag
	value string
}

// splitLine reads a command line by the rules of the C gearmand, which are not those of pflag: an
// option is given once, its value is never empty, and a switch has none. What is no option is
// returned as words. With guess the beginning of a long name is enough, if no other begins so; the
// C server has it that way in its configuration file only.
func splitLine(flags *pflag.FlagSet, line []string, guess bool) (options []given, words []string, err error) {
	for len(line) > 0 {
		token := line[0]
		line = line[1:]
		var some []given
		switch {
		case token == "--":
			words, line = append(words, line...), nil
		case strings.HasPrefix(token, "--"):
			some, line, err = longOption(flags, token, line, guess)
		case len(token) > 1 && token[0] == '-':
			some, line, err = shortOptions(flags, token, line)
		default:
			words = append(words, token)
		}
		if err != nil {
			return nil, nil, err
		}
		options = append(options, some...)
	}
	return options, words, once(options)
}

// longOption reads --name, --name=value or --name value; the value may be the next token.
func longOption(flags *pflag.FlagSet, token string, next []string, guess bool) ([]given, []string, error) {
	name, value, hasValue := strings.Cut(token[2:], "=")
	flag, err := byName(flags, name, guess)
	switch {
	case err != nil:
		return nil, nil, err
	case flag == nil:
		return nil, nil, fmt.Errorf("unrecognised option '%s'", token)
	case hasValue && isSwitch(flag):
		return nil, nil, fmt.Errorf("option '--%s' does not take any arguments", flag.Name)
	case hasValue && value == "":
		return nil, nil, fmt.Errorf("the argument for option '--%s' should follow immediately after the equal sign", flag.Name)
	case hasValue || isSwitch(flag):
		return []given{{flag, value}}, next, nil
	}
	return nextToken(flags, flag, next)
}

// shortOptions reads -x, -xvalue or -x value, before which several switches may stand: -dRp 4730.
func shortOptions(flags *pflag.FlagSet, token string, next []string) (all []given, rest []string, err error) {
	for letters := token[1:]; letters != ""; letters = letters[1:] {
		flag := flags.ShorthandLookup(letters[:1])
		switch {
		case flag == nil:
			return nil, nil, fmt.Errorf("unrecognised option '%s'", token)
		case isSwitch(flag):
			all = append(all, given{flag, ""})
		case len(letters) > 1:
			return append(all, given{flag, letters[1:]}), next, nil
		default:
			some, rest, err := nextToken(flags, flag, next)
			return append(all, some...), rest, err
		}
	}
	return all, next, nil
}

// nextToken takes the next token as the value of a flag. A short option is none, anything else is,
// whatever it looks like.
func nextToken(flags *pflag.FlagSet, flag *pflag.Flag, next []string) ([]given, []string, error) {
	if len(next) == 0 || len(next[0]) == 2 && next[0][0] == '-' && flags.ShorthandLookup(next[0][1:]) != nil {
		return nil, nil, fmt.Errorf("the required argument for option '--%s' is missing", flag.Name)
	}
	return []given{{flag, next[0]}}, next[1:], nil
}

// byName returns the flag of that name, nil if there is none.
func byName(flags *pflag.FlagSet, name string, guess bool) (*pflag.Flag, error) {
	if flag := flags.Lookup(name); flag != nil || !guess || name == "" {
		return flag, nil
	}
	var found []*pflag.Flag
	flags.VisitAll(func(f *pflag.Flag) {
		if strings.HasPrefix(f.Name, name) {
			found = append(found, f)
		}
	})
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return found[0], nil
	}
	return nil, fmt.Errorf("option '--%s' is ambiguous and matches '--%s' and '--%s'", name, found[0].Name, found[1].Name)
}

// once refuses an option that was given twice, unless it can be repeated.
func once(options []given) error {
	for i, o := range options {
		if o.flag.Value.Type() != repeatable && slices.ContainsFunc(options[:i], func(p given) bool { return p.flag == o.flag }) {
			return fmt.Errorf("option '--%s' cannot be specified more than once", o.flag.Name)
		}
	}
	return nil
}

// repeatable is the type of flags that have several values.
const repeatable = "stringArray"

func isSwitch(f *pflag.Flag) bool { return f.NoOptDefVal != "" }

// set gives a flag its value.
func (g given) set(flags *pflag.FlagSet) error {
	value := g.value
	if isSwitch(g.flag) {
		value = "true"
	}
	if err := flags.Set(g.flag.Name, value); err != nil {
		return plain(err)
	}
	return nil
}
