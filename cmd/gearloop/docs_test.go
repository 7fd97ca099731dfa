package main

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// row is one option in a table of the documentation: its names with their dashes, its variable and its
// default.
type row struct {
	names    []string
	variable string
	fallback string
}

// long returns the long name of the option.
func (r row) long() string { return strings.TrimPrefix(r.names[len(r.names)-1], "--") }

// tables returns the tables of options on a page by their heading. variables: the second column has the
// environment variable.
func tables(t *testing.T, page string, variables bool) map[string][]row {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + page)
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
		cells := strings.Split(strings.ReplaceAll(line, "`", ""), "|")
		names := option.FindAllStringSubmatch(strings.Split(line+"||", "|")[1], -1)
		if len(cells) < 4 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "-") {
			continue
		}
		variable, fallbacks := "", strings.Split(cells[2], ",")
		if variables {
			variable, fallbacks = strings.TrimSpace(cells[2]), strings.Split(cells[3], ",")
		}
		// Short names precede the long one. Several long names have several defaults.
		r := row{variable: variable}
		for _, n := range names {
			r.names = append(r.names, n[1])
			if strings.HasPrefix(n[1], "--") {
				r.fallback = strings.TrimSpace(fallbacks[0])
				all[heading] = append(all[heading], r)
				r = row{variable: variable}
				if len(fallbacks) > 1 {
					fallbacks = fallbacks[1:]
				}
			}
		}
	}
	return all
}

// same requires rows and flags to be the same options with the same names and defaults.
func same(t *testing.T, rows []row, flags *pflag.FlagSet) {
	t.Helper()
	var documented, there []string
	for _, r := range rows {
		name := r.long()
		documented = append(documented, name)
		f := flags.Lookup(name)
		if f == nil {
			t.Errorf("the page has --%s, the program has not", name)
			continue
		}
		short := ""
		if len(r.names) > 1 {
			short = strings.TrimPrefix(r.names[0], "-")
		}
		if short != f.Shorthand {
			t.Errorf("--%s is -%s on the page and -%s in the program", name, short, f.Shorthand)
		}
		want := f.DefValue
		switch {
		case isSwitch(f) && want == "false":
			want = ""
		case name == "listen":
			want = "all addresses"
		case want == "" && f.Value.Type() == "number":
			want = "0" // an option that stands for another one
		case want == "" || want == "[]":
			want = "none"
		case f.Value.Type() == "time" && want == "0s":
			want = "0"
		}
		if r.fallback != want {
			t.Errorf("the default of --%s is %q on the page, want %q", name, r.fallback, want)
		}
	}
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			there = append(there, f.Name)
		}
	})
	slices.Sort(documented)
	slices.Sort(there)
	if !slices.Equal(documented, there) {
		t.Errorf("the page has  %s\nthe program has %s", strings.Join(documented, " "), strings.Join(there, " "))
	}
}

// docs/options.md describes the options of serve: the same groups, options, defaults and variables.
func TestOptionsPage(t *testing.T) {
	all := tables(t, "options.md", true)
	seen := 0
	for _, g := range defaults().groups() {
		rows := all[g.title]
		seen += len(rows)
		same(t, rows, g.flags)
		for _, r := range rows {
			want := variableOf(r.long())
			if notFromEnvironment[r.long()] {
				want = ""
			}
			if r.variable != want {
				t.Errorf("the variable of --%s is %q on the page, want %q", r.long(), r.variable, want)
			}
		}
	}
	if total := slices.Concat(slices.Collect(maps.Values(all))...); len(total) != seen {
		t.Errorf("the page has %d options, %d of them in the groups of the help text", len(total), seen)
	}
}

// docs/gearmand.md describes the options of the program under the name of the C server.
func TestGearmandPage(t *testing.T) {
	o := defaults()
	o.forC()
	o.defaultsOfC()
	flags, own := o.flagsC()
	theirs := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.VisitAll(func(f *pflag.Flag) {
		if own.Lookup(f.Name) == nil {
			theirs.AddFlag(f)
		}
	})
	same(t, tables(t, "gearmand.md", false)["In place of C's gearmand"], theirs)
}

// Commands can be copied from the pages: a minus before a number is a hyphen.
func TestPagesCanBeCopied(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	typographic := regexp.MustCompile(`[−–]\d`)
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			if typographic.MatchString(line) {
				t.Errorf("%s:%d: %s", page, i+1, line)
			}
		}
	}
}
