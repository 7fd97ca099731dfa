package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/spf13/pflag"
)

// keyValue is a line "key = value" of a configuration file.
var keyValue = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9_-]*)\s*=\s*(.*)$`)

// readConfigFile reads a configuration file and returns what it sets. Two forms may be mixed: options as on
// the command line, separated by blanks and line ends, and lines "key = value". # begins a comment. The C
// server ignores unknown words. In its place we do the same with a warning; otherwise (strict) they are
// rejected, because a server whose port is misspelt must not start on another one.
func readConfigFile(path string, flags *pflag.FlagSet, strict bool, warn io.Writer) ([]given, error) {
	text, err := configText(path)
	if err != nil {
		return nil, fmt.Errorf("could not open configuration file: %w", err)
	}
	var all []token
	number := 0
	for l := range strings.Lines(string(text)) {
		number++
		where := fmt.Sprintf("%s:%d", path, number)
		words := strings.Fields(withoutComment(l))
		if m := keyValue.FindStringSubmatch(withoutComment(l)); m != nil {
			if words, err = fromKey(flags, m[1], m[2]); err != nil {
				return nil, fmt.Errorf("%s: %w", where, err)
			}
		}
		for _, w := range words {
			all = append(all, token{w, where})
		}
	}
	options, words, err := splitLine(flags, all, true)
	if err != nil {
		return nil, err
	}
	return options, reportUnknown(flags, words, strict, warn)
}

// reportUnknown rejects unknown words of a configuration file, or warns of them line by line.
func reportUnknown(flags *pflag.FlagSet, words []token, strict bool, warn io.Writer) error {
	for len(words) > 0 {
		first, line := words[0], words[0].text
		for words = words[1:]; len(words) > 0 && words[0].where == first.where; words = words[1:] {
			line += " " + words[0].text
		}
		why := fmt.Sprintf("%q, which is not an option%s", line, keyHint(flags, line))
		if strict {
			return first.at(fmt.Errorf("unexpected %s", why))
		}
		fmt.Fprintf(warn, "%s: %s: ignoring %s\n", programName, first.where, why)
	}
	return nil
}

// keyHint returns how to write a line that begins with the name of an option.
func keyHint(flags *pflag.FlagSet, line string) string {
	key, value, _ := strings.Cut(line, " ")
	key = strings.TrimSuffix(key, ":")
	if near := nearest(key, flagNames(flags)); near != "" && value != "" {
		return fmt.Sprintf(" (write %s = %s)", near, value)
	}
	return " (write NAME = VALUE or --NAME=VALUE)"
}

// withoutComment returns a line without the comment that a # at the beginning of a word starts.
func withoutComment(line string) string {
	line = strings.TrimSpace(line)
	for i := range len(line) {
		if line[i] == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			return strings.TrimSpace(line[:i])
		}
	}
	return line
}

// fromKey converts a line "key = value" to the equivalent words of a command line.
func fromKey(flags *pflag.FlagSet, key, value string) ([]string, error) {
	flag, err := byName(flags, key, true)
	switch {
	case err != nil:
		return nil, err
	case flag == nil:
		return nil, unrecognised(flags, "--"+key)
	case !isSwitch(flag) || value == "":
		return []string{"--" + flag.Name + "=" + value}, nil
	}
	switch strings.ToLower(value) {
	case "true", "yes", "on", "1":
		return []string{"--" + flag.Name}, nil
	case "false", "no", "off", "0":
		return nil, nil
	}
	return nil, fmt.Errorf("--%s: %q is neither true nor false", flag.Name, value)
}
