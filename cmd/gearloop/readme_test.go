package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// row is one option in a table of the README: its names with their dashes, and its default.
type row struct {
	names    []string
	fallback string
}

// tables returns the tables of options in the README by the heading that they stand under.
func tables(t *testing.T) map[string][]row {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	option := regexp.MustCompile("`(--?[a-zA-Z0-9-]+)`")
	all := map[string][]row{}
	heading := ""
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "## "); ok {
			heading = strings.TrimSpace(rest)
		}
		cells := strings.Split(line, "|")
		if len(cells) < 4 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`-") {
			continue
		}
		var names []string
		for _, m := range option.FindAllStringSubmatch(cells[1], -1) {
			names = append(names, m[1])
		}
		// Short names stand before the long one; several long ones have several defaults.
		defaults := strings.Split(strings.ReplaceAll(cells[2], "`", ""), ",")
		for len(names) > 0 {
			n := slices.IndexFunc(names, func(n string) bool { return strings.HasPrefix(n, "--") })
			if n < 0 {
				t.Fatalf("not understood: %s", line)
			}
			all[heading] = append(all[heading], row{names[:n+1], strings.TrimSpace(defaults[0])})
			names = names[n+1:]
			if len(defaults) > 1 {
				defaults = defaults[1:]
			}
		}
	}
	return all
}

// compare wants rows and flags to be the same options with the same defaults.
func compare(t *testing.T, rows []row, flags *pflag.FlagSet, expected func(f *pflag.Flag) bool) {
	t.Helper()
	seen := map[string]bool{}
	for _, r := range rows {
		name := strings.TrimPrefix(r.names[len(r.names)-1], "--")
		f := flags.Lookup(name)
		if f == nil {
			t.Errorf("the README has --%s, the program has not", name)
			continue
		}
		seen[name] = true
		short := ""
		if len(r.names) > 1 {
			short = strings.TrimPrefix(r.names[0], "-")
		}
		if short != f.Shorthand {
			t.Errorf("--%s is -%s in the README and -%s in the program", name, short, f.Shorthand)
		}
		want := f.DefValue
		switch {
		case isSwitch(f) && want == "false":
			want = ""
		case name == "listen":
			want = "all addresses"
		case want == "" && f.Value.Type() == "number":
			want = "0" // of an option that stands for another one
		case want == "" || want == "[]":
			want = "none"
		case f.Value.Type() == "time" && want == "0s":
			want = "0"
		}
		if r.fallback != want {
			t.Errorf("the default of --%s is %q in the README, want %q", name, r.fallback, want)
		}
	}
	flags.VisitAll(func(f *pflag.Flag) {
		if expected(f) && !seen[f.Name] {
			t.Errorf("the README does not have --%s", f.Name)
		}
	})
}

// The tables in the README are what the program has.
func TestREADME(t *testing.T) {
	all := tables(t)
	_, own := newFlags()
	compare(t, all["Running it"], own, func(*pflag.Flag) bool { return true })
	o := defaults()
	o.forC()
	o.defaultsOfC()
	flags, ownInC := o.flagsC()
	compare(t, all["In place of the C gearmand"], flags, func(f *pflag.Flag) bool {
		return ownInC.Lookup(f.Name) == nil && !f.Hidden
	})
}
