package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// manPage returns the source of a manual page.
func manPage(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../packaging/man/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// manOptions returns the paragraphs of the section OPTIONS, by each of the long options at their heads, with
// dashes as they appear on a terminal.
func manOptions(t *testing.T, page string) map[string]string {
	t.Helper()
	_, text, found := strings.Cut(manPage(t, page), "\n.SH OPTIONS\n")
	text, _, ended := strings.Cut(text, "\n.SH ")
	if !found || !ended {
		t.Fatalf("%s has no section OPTIONS", page)
	}
	plain := strings.NewReplacer(`\fB`, "", `\fR`, "", `\fI`, "", `\-`, "-").Replace(text)
	all := map[string]string{}
	for _, paragraph := range strings.Split(plain, ".TP\n")[1:] {
		head, _, _ := strings.Cut(paragraph, "\n")
		for _, m := range regexp.MustCompile(`--([a-z0-9-]+)`).FindAllStringSubmatch(head, -1) {
			all[m[1]] = paragraph
		}
	}
	return all
}

// wantOptions requires a page to describe exactly these flags, with their short names and defaults.
func wantOptions(t *testing.T, page string, flags *pflag.FlagSet) {
	t.Helper()
	options := manOptions(t, page)
	delete(options, "help")
	flags.VisitAll(func(f *pflag.Flag) {
		text, there := options[f.Name]
		delete(options, f.Name)
		switch {
		case f.Hidden || f.Name == "help":
			return
		case !there:
			t.Errorf("packaging/man/%s has no --%s: add a paragraph (.TP) to OPTIONS", page, f.Name)
			return
		case f.Shorthand != "" && !strings.HasPrefix(text, "-"+f.Shorthand+", --"):
			t.Errorf("packaging/man/%s: --%s is -%s, too", page, f.Name, f.Shorthand)
		}
		value := f.DefValue
		if value == "" || value == "[]" || isSwitch(f) || f.Value.Type() == "time" && value == "0s" {
			return
		}
		if !strings.Contains(strings.ReplaceAll(text, "\n", " "), "The default is "+value+".") {
			t.Errorf("packaging/man/%s: the default of --%s is %s; say so (The default is %s.)", page, f.Name, value, value)
		}
	})
	for name := range options {
		t.Errorf("packaging/man/%s has --%s, the program has not", page, name)
	}
}

// The manual pages describe every option and every command, and no others.
func TestManPages(t *testing.T) {
	_, flags := newFlags()
	wantOptions(t, "gearloop-serve.1", flags)

	o := defaults()
	o.forC()
	o.defaultsOfC()
	all, own := o.flagsC()
	theirs := pflag.NewFlagSet("", pflag.ContinueOnError)
	all.VisitAll(func(f *pflag.Flag) {
		if own.Lookup(f.Name) == nil || strings.HasPrefix(f.Name, "ssl") {
			theirs.AddFlag(f)
		}
	})
	wantOptions(t, "gearmand.8", theirs)

	var documented, there []string
	for _, m := range regexp.MustCompile(`(?m)^\\fBgearloop ([a-z\\-]+)\\fR`).FindAllStringSubmatch(manPage(t, "gearloop.1"), -1) {
		documented = append(documented, strings.ReplaceAll(m[1], `\-`, "-"))
	}
	there = []string{"completion", "help"} // cobra adds them
	for _, c := range rootCommand().Commands() {
		if !c.Hidden && !slices.Contains(there, c.Name()) {
			there = append(there, c.Name())
		}
	}
	slices.Sort(documented)
	slices.Sort(there)
	if !slices.Equal(documented, there) {
		t.Errorf("packaging/man/gearloop.1 has %s\nthe program has            %s", documented, there)
	}
}

// man renders the pages without a warning.
func TestManPagesRender(t *testing.T) {
	pages, err := filepath.Glob("../../packaging/man/*.[1-8]")
	if err != nil || len(pages) < 3 {
		t.Fatal(pages, err)
	}
	for _, page := range pages {
		cmd := exec.Command("man", "--warnings", "-E", "UTF-8", "-l", page)
		cmd.Env = append(os.Environ(), "MANWIDTH=100", "LC_ALL=C.UTF-8", "MANPAGER=cat")
		var warnings strings.Builder
		cmd.Stderr = &warnings
		out, err := cmd.Output()
		if err != nil || warnings.Len() > 0 || !strings.Contains(string(out), "DESCRIPTION") {
			t.Errorf("%s: %v\n%s%s", page, err, out, warnings.String())
		}
	}
}
