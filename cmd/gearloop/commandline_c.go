package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// token is one word of a command line or of a configuration file.
type token struct {
	text  string
	where string // FILE:LINE; "" for the command line
}

// at prefixes an error with the position of the word.
func (t token) at(err error) error {
	if err == nil || t.where == "" {
		return err
	}
	return fmt.Errorf("%s: %w", t.where, err)
}

// tokensOf returns the words of a command line.
func tokensOf(args []string) (all []token) {
	for _, a := range args {
		all = append(all, token{text: a})
	}
	return all
}

// given is an option as written, with its value; a switch has none.
type given struct {
	flag  *pflag.Flag
	value string
	token token // its name
}

// splitLine parses a command line by the rules of C gearmand, which differ from pflag's: an option is given
// once, its value is never empty, and a switch has none. Other words are returned. With guess a unique prefix
// of a long name is accepted; the C server does that in its configuration file only.
func splitLine(flags *pflag.FlagSet, line []token, guess bool) (options []given, words []token, err error) {
	for len(line) > 0 {
		first := line[0]
		line = line[1:]
		var some []given
		switch {
		case first.text == "--":
			words, line = append(words, line...), nil
		case strings.HasPrefix(first.text, "--"):
			some, line, err = longOption(flags, first, line, guess)
		case len(first.text) > 1 && first.text[0] == '-':
			some, line, err = shortOptions(flags, first, line)
		default:
			words = append(words, first)
		}
		if err != nil {
			return nil, nil, first.at(err)
		}
		options = append(options, some...)
	}
	return options, words, once(options)
}

// longOption parses --name, --name=value or --name value; the value may be the next token.
func longOption(flags *pflag.FlagSet, t token, next []token, guess bool) ([]given, []token, error) {
	name, value, hasValue := strings.Cut(t.text[2:], "=")
	flag, err := byName(flags, name, guess)
	switch {
	case err != nil:
		return nil, nil, err
	case flag == nil:
		return nil, nil, unrecognised(flags, t.text)
	case hasValue && isSwitch(flag):
		return nil, nil, fmt.Errorf("option '--%s' does not take any arguments", flag.Name)
	case hasValue && value == "":
		return nil, nil, fmt.Errorf("the argument for option '--%s' should follow immediately after the equal sign", flag.Name)
	case hasValue || isSwitch(flag):
		return []given{{flag, value, t}}, next, nil
	}
	return nextToken(flags, flag, t, next)
}

// shortOptions parses -x, -xvalue or -x value, possibly after several switches: -dRp 4730.
func shortOptions(flags *pflag.FlagSet, t token, next []token) (all []given, rest []token, err error) {
	for letters := t.text[1:]; letters != ""; letters = letters[1:] {
		flag := flags.ShorthandLookup(letters[:1])
		switch {
		case flag == nil:
			return nil, nil, unrecognised(flags, t.text)
		case isSwitch(flag):
			all = append(all, given{flag, "", t})
		case len(letters) > 1:
			return append(all, given{flag, letters[1:], t}), next, nil
		default:
			some, rest, err := nextToken(flags, flag, t, next)
			return append(all, some...), rest, err
		}
	}
	return all, next, nil
}

// nextToken uses the next token as the value of a flag. Everything but a short option is a value, whatever it
// looks like.
func nextToken(flags *pflag.FlagSet, flag *pflag.Flag, t token, next []token) ([]given, []token, error) {
	if len(next) == 0 || isShort(flags, next[0].text) {
		return nil, nil, fmt.Errorf("the required argument for option '--%s' is missing", flag.Name)
	}
	return []given{{flag, next[0].text, t}}, next[1:], nil
}

// isShort reports whether a word is an option of one letter.
func isShort(flags *pflag.FlagSet, word string) bool {
	return len(word) == 2 && word[0] == '-' && flags.ShorthandLookup(word[1:]) != nil
}

// unrecognised is the error for a word that is no option.
func unrecognised(flags *pflag.FlagSet, word string) error {
	name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
	hint := " (see " + programName + " --help)"
	if near := nearest(name, flagNames(flags)); near != "" && near != name && strings.HasPrefix(word, "-") {
		hint = " (did you mean --" + near + "?)"
	} else if c, _, err := rootCommand().Find([]string{word}); err == nil && c.HasParent() {
		hint = " (a command of gearloop; gearmand takes options only)"
	}
	return fmt.Errorf("unrecognised option '%s'%s", word, hint)
}

// byName returns the flag of that name, or nil.
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

// once rejects an option that was given twice, unless it is repeatable.
func once(options []given) error {
	for i, o := range options {
		if o.flag.Value.Type() != repeatable && slices.ContainsFunc(options[:i], func(p given) bool { return p.flag == o.flag }) {
			return o.token.at(fmt.Errorf("option '--%s' cannot be specified more than once", o.flag.Name))
		}
	}
	return nil
}

// repeatable is the type of flags with several values.
const repeatable = "stringArray"

func isSwitch(f *pflag.Flag) bool { return f.NoOptDefVal != "" }

// set sets the flag.
func (g given) set(flags *pflag.FlagSet) error {
	value := g.value
	if isSwitch(g.flag) {
		value = "true"
	}
	origin := "--" + g.flag.Name
	if g.token.where != "" {
		origin = g.token.where + ": " + origin
	}
	return setFrom(flags, g.flag.Name, value, origin)
}
