package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// documented is the content of docs/command-line.md: the groups of commands, and the options of each command
// by its path. Under "" are the options that many commands share.
type documented struct {
	groups   []string            // headings
	commands map[string][]string // paths of commands by group, in order
	options  map[string][]string // as --name or -s --name, by the path of the command
}

func readCommandLine(t *testing.T) documented {
	t.Helper()
	text, err := os.ReadFile("../../docs/command-line.md")
	if err != nil {
		t.Fatal(err)
	}
	d := documented{commands: map[string][]string{}, options: map[string][]string{}}
	option := regexp.MustCompile("`(--?[a-zA-Z0-9-]+)`")
	group, command := "", ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "## "); ok {
			if group, command = title, ""; title != "Options of many commands" {
				d.groups = append(d.groups, title)
			}
		}
		if path, ok := strings.CutPrefix(line, "### "); ok {
			command = path
			d.commands[group] = append(d.commands[group], path)
		}
		if !strings.HasPrefix(line, "| `-") {
			continue
		}
		short := ""
		for _, name := range option.FindAllStringSubmatch(strings.Split(line, "|")[1], -1) {
			if !strings.HasPrefix(name[1], "--") {
				short = name[1] + " "
				continue
			}
			d.options[command] = append(d.options[command], short+name[1])
			short = ""
		}
	}
	return d
}

// optionsOf returns the visible options of a command in the form that documented has.
func optionsOf(cmd *cobra.Command) (all []string) {
	cmd.InitDefaultHelpFlag()
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		short := ""
		if f.Shorthand != "" {
			short = "-" + f.Shorthand + " "
		}
		if !f.Hidden {
			all = append(all, short+"--"+f.Name)
		}
	})
	return all
}

// elsewhere are commands whose options are described on other pages, or are another command's.
var elsewhere = []string{"gearloop serve", "gearloop bench", "gearloop config print", "gearloop help"}

// TestCommandLine: the page, the help text and the completion name the same commands, in the same groups, and
// the same options.
func TestCommandLine(t *testing.T) {
	page := readCommandLine(t)
	root := rootCommand()
	root.InitDefaultHelpCmd()
	there := map[string][]string{}
	var groups []string
	for _, g := range root.Groups() {
		groups = append(groups, g.ID)
	}
	used := map[string]bool{}
	var visit func(c *cobra.Command, group string)
	visit = func(c *cobra.Command, group string) {
		path := c.CommandPath()
		there[group] = append(there[group], path)
		for _, sub := range c.Commands() {
			visit(sub, group)
		}
		if slices.Contains(elsewhere, path) {
			return
		}
		help, err := run(append(strings.Fields(path)[1:], "--help")...)
		if err != nil {
			t.Errorf("%s --help: %v", path, err)
		}
		completes, err := run(append(append([]string{"__complete"}, strings.Fields(path)[1:]...), "--")...)
		if err != nil {
			t.Errorf("completing %s: %v", path, err)
		}
		options := optionsOf(c)
		for _, o := range options {
			long := o[strings.Index(o, "--"):]
			if !strings.Contains(help, strings.Replace(o, " --", ", --", 1)+" ") {
				t.Errorf("%s --help does not show %s:\n%s", path, o, help)
			}
			if !regexp.MustCompile(`(?m)^` + long + `=?(\t|$)`).MatchString(completes) {
				t.Errorf("%s is not completed with %s:\n%s", path, long, completes)
			}
			if !slices.Contains(page.options[path], o) && !slices.Contains(page.options[""], o) {
				t.Errorf("docs/command-line.md: %s lacks %s", path, o)
			}
			used[o] = true
		}
		for _, o := range page.options[path] {
			if !slices.Contains(options, o) {
				t.Errorf("docs/command-line.md: %s has no %s", path, o)
			}
		}
	}
	for _, c := range root.Commands() {
		visit(c, c.GroupID)
	}
	if !slices.Equal(page.groups, groups) {
		t.Errorf("the page has the groups %q, the help text %q", page.groups, groups)
	}
	for _, g := range groups {
		if !slices.Equal(page.commands[g], there[g]) {
			t.Errorf("%s: the page has\n%q, the help text\n%q", g, page.commands[g], there[g])
		}
	}
	for _, o := range page.options[""] {
		if !used[o] {
			t.Errorf("docs/command-line.md: no command has %s", o)
		}
	}
	completes, err := run("__complete", "")
	help, _ := run("--help")
	for _, c := range root.Commands() {
		if !strings.Contains(completes, c.Name()+"\t") || !strings.Contains(help, "\n  "+c.Name()+" ") {
			t.Errorf("%s: completion or help do not name it: %v\n%s%s", c.Name(), err, completes, help)
		}
	}
}
