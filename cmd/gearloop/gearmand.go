package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"gearloop/internal/dialect"
	"gearloop/internal/sdnotify"
)

// nameOfC is the name of the C server's program. Started under this name, Gearloop replaces it.
const nameOfC = "gearmand"

// versionOfC is the version of the C server that Gearloop replaces: programs ask for it to know its features.
const versionOfC = "1.1.20"

// speaksC reports whether a server started under a name with these arguments has the C server's dialect and
// command line. That must be known before the rest can be parsed.
func speaksC(name string, args []string) bool {
	speaks := os.Getenv("GEARLOOP_DIALECT")
	if name == nameOfC {
		speaks = cmp.Or(speaks, dialect.C.Name)
	}
	file := os.Getenv(variableOf("config-file"))
	for i, arg := range args {
		if arg == "--" {
			break
		}
		if value, ok := strings.CutPrefix(arg, "--dialect="); ok {
			speaks = value
		} else if arg == "--dialect" && i+1 < len(args) {
			speaks = args[i+1]
		} else if value, ok := strings.CutPrefix(arg, "--config-file="); ok {
			file = value
		} else if arg == "--config-file" && i+1 < len(args) {
			file = args[i+1]
		}
	}
	if speaks == "" && file != "" {
		speaks = dialectInFile(file)
	}
	return speaks == dialect.C.Name || name == nameOfC && speaks != dialect.Perl.Name
}

// serveC runs the program with the C server's command line. Under the C server's name it also has its
// defaults.
func serveC(name string, args []string, out, warn io.Writer) error {
	o := defaults()
	o.forC()
	if name == nameOfC {
		o.defaultsOfC()
	}
	flags, own := o.flagsC()
	if err := o.readC(flags, args, warn); err != nil {
		return err
	}
	switch {
	case o.checkArgs:
		if err := o.checkAccess(); err != nil {
			return err
		}
		return o.access.checkFile()
	case o.help:
		_, err := fmt.Fprint(out, helpC(name, o, flags, own))
		return err
	case o.version:
		// As in the C server the first line is empty; the part after the dash is for people.
		_, err := fmt.Fprintf(out, "\ngearmand %s - Gearloop %s\n", versionOfC, version)
		return err
	}
	if err := o.resolveC(); err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	if o.daemonize && !inBackground() && !sdnotify.IsMain() {
		return startInBackground()
	}
	return serve(o, out)
}

// flagsC returns all flags of this dialect, and those that the C server does not have.
func (o *options) flagsC() (all, own *pflag.FlagSet) {
	aliasOf := map[string]bool{}
	for _, name := range aliases {
		aliasOf[name] = true
	}
	all = pflag.NewFlagSet(nameOfC, pflag.ContinueOnError)
	o.registerC(all)
	rest := pflag.NewFlagSet("", pflag.ContinueOnError)
	o.register(rest)
	own = pflag.NewFlagSet("", pflag.ContinueOnError)
	own.SortFlags = false
	rest.VisitAll(func(f *pflag.Flag) {
		if all.Lookup(f.Name) == nil {
			f.Shorthand = ""
			f.Hidden = f.Name == "debug" || aliasOf[f.Name]
			own.AddFlag(f)
		}
	})
	all.AddFlagSet(own)
	return all, own
}

// readC sets the options from the command line, the environment and the configuration file, in decreasing
// priority.
func (o *options) readC(flags *pflag.FlagSet, args []string, warn io.Writer) error {
	line, words, err := splitLine(flags, tokensOf(args), false)
	if err != nil {
		return err
	}
	for _, g := range line {
		if err := g.set(flags); err != nil {
			return err
		}
	}
	for _, word := range words {
		file, ok := strings.CutPrefix(word.text, "@")
		if !ok || flags.Changed("config-file") {
			return unrecognised(flags, word.text)
		}
		if err := flags.Set("config-file", file); err != nil {
			return err
		}
	}
	bothNames(flags)
	if !o.help && !o.version {
		if err := fromEnvironment(flags, warn); err != nil {
			return err
		}
		bothNames(flags)
	}
	if err := o.fromConfigFile(flags, warn); err != nil {
		return err
	}
	if o.dialect.Dialect != dialect.C {
		return fmt.Errorf("%s: the dialect can be chosen on the command line and in the environment only",
			originOf(flags, "dialect"))
	}
	o.fromGearmandEnvironment(warn)
	o.parsed = flags
	o.pidfileMayFail = !flags.Changed("pid-file")
	return o.checkC()
}

// bothNames marks an option that was given under one of its two names as given under both.
func bothNames(flags *pflag.FlagSet) {
	for name, other := range aliases {
		a, b := flags.Lookup(name), flags.Lookup(other)
		a.Changed = a.Changed || b.Changed
		b.Changed = a.Changed
	}
}

// fromConfigFile sets the remaining options from the configuration file. The default file may be missing.
func (o *options) fromConfigFile(flags *pflag.FlagSet, warn io.Writer) error {
	path, asked := o.configFile, flags.Changed("config-file")
	if path == "" {
		return nil
	}
	settings, err := readConfigFile(path, flags, o.strictFile, warn)
	if err != nil && !asked && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	changed := map[*pflag.Flag]bool{}
	flags.VisitAll(func(f *pflag.Flag) { changed[f] = f.Changed })
	for _, g := range settings {
		switch {
		case g.flag.Name == "check-args":
			return g.token.at(unrecognised(flags, "--check-args"))
		case changed[g.flag] || g.flag.Name == "config-file":
			continue
		}
		if err := g.set(flags); err != nil {
			return err
		}
	}
	return o.noteFile(flags)
}

// helpC returns the text of --help: the C server's options first, then ours in groups.
func helpC(name string, o *options, flags, own *pflag.FlagSet) string {
	if name != nameOfC {
		name += " serve --dialect c"
	}
	var text strings.Builder
	fmt.Fprintf(&text, "Usage:\n  %s [options]\n\nEvery option is also an environment variable: "+
		"GEARLOOP_MAX_PACKET=1M is --max-packet 1M,\nGEARLOOP_SSL=true is --ssl. "+
		"The command line wins, then variables, then the configuration file.\n", name)
	writeGroups(&text, groupsOfC(o, flags, own))
	return text.String()
}

// groupsOfC returns the flags of this dialect in groups: the C server's first, then ours.
func groupsOfC(o *options, flags, own *pflag.FlagSet) []optionGroup {
	theirs := pflag.NewFlagSet("", pflag.ContinueOnError)
	theirs.SortFlags = false
	flags.VisitAll(func(f *pflag.Flag) {
		if own.Lookup(f.Name) == nil {
			theirs.AddFlag(f)
		}
	})
	groups := []optionGroup{{"Options of gearmand", theirs}}
	for _, g := range o.groups() {
		rest := pflag.NewFlagSet("", pflag.ContinueOnError)
		rest.SortFlags = false
		g.flags.VisitAll(func(f *pflag.Flag) {
			if mine := own.Lookup(f.Name); mine != nil {
				rest.AddFlag(mine)
			}
		})
		groups = append(groups, optionGroup{g.title + " (Gearloop's own)", rest})
	}
	return groups
}
