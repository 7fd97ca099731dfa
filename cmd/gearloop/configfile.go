package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/pflag"
)

// keyValue is a line "key = value" of a configuration file.
var keyValue = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9_-]*)\s*=\s*(.*)$`)

// readConfigFile reads a configuration file and returns what it sets. Two forms may be mixed: options
// as on the command line, blanks and line ends between them, and lines "key = value". # begins a
// comment. The C server passes over words that are no options; so does this, but says so.
func readConfigFile(path string, flags *pflag.FlagSet, warn io.Writer) ([]given, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("could not open configuration file: %w", err)
	}
	var line []string
	for l := range strings.Lines(string(text)) {
		if m := keyValue.FindStringSubmatch(withoutComment(l)); m != nil {
			word, err := fromKey(flags, m[1], m[2])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			line = append(line, word...)
			continue
		}
		line = append(line, strings.Fields(withoutComment(l))...)
	}
	options, words, err := splitLine(flags, line, true)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(words) > 0 {
		fmt.Fprintf(warn, "%s: %s: ignoring %q, which is no option\n", programName, path, strings.Join(words, " "))
	}
	return options, nil
}

// withoutComment returns a line without what follows a # that begins a word.
func withoutComment(line string) string {
	line = strings.TrimSpace(line)
	for i := range len(line) {
		if line[i] == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			return strings.TrimSpace(line[:i])
		}
	}
	return line
}

// fromKey turns a line "key = value" into the words that mean the same on a command line.
func fromKey(flags *pflag.FlagSet, key, value string) ([]string, error) {
	flag, err := byName(flags, key, true)
	switch {
	case err != nil:
		return nil, err
	case flag == nil:
		return nil, fmt.Errorf("unrecognised option '%s'", key)
	case !isSwitch(flag) || value == "":
		return []string{"--" + flag.Name + "=" + value}, nil
	}
	switch strings.ToLower(value) {
	case "true", "yes", "on", "1":
		return []string{"--" + flag.Name}, nil
	case "false", "no", "off", "0":
		return nil, nil
	}
	return nil, fmt.Errorf("'%s' is a switch: it is true or false, not %q", key, value)
}
