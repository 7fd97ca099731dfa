package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gearloop/reactor"
)

// plain rephrases a command-line error in our own words.
func plain(cmd *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var syntax *pflag.InvalidSyntaxError
	switch {
	case errors.As(err, &invalid):
		return fmt.Errorf("--%s: %w", invalid.GetFlag().Name, becauseOf(invalid, cmd.Flags()))
	case errors.As(err, &unknown):
		token := "--" + unknown.GetSpecifiedName()
		if group := unknown.GetSpecifiedShortnames(); group != "" {
			// the parser reads -listen as -l with more letters
			if token = "-" + group; cmd.Flags().Lookup(group) == nil {
				token = "-" + unknown.GetSpecifiedName()
			}
		}
		return fmt.Errorf("unknown option %s %s", token, wayOut(cmd, token))
	case errors.As(err, &missing):
		return fmt.Errorf("--%s needs a value: %s (see %s --help)", missing.GetFlag().Name, meaning(missing.GetFlag()),
			cmd.CommandPath())
	case errors.As(err, &syntax):
		return fmt.Errorf("%s is not an option (see %s --help)", syntax.GetSpecifiedFlag(), cmd.CommandPath())
	}
	return err
}

// unknownCommand is the error for an unknown command of cmd.
func unknownCommand(cmd *cobra.Command, word string) error {
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	if near := nearest(word, names); near != "" {
		return fmt.Errorf("unknown command %q (did you mean %s %s?)", word, cmd.CommandPath(), near)
	}
	return fmt.Errorf("unknown command %q (see %s --help)", word, cmd.CommandPath())
}

// onlyCommands rejects arguments of a command that has only others below it: cobra considers an unknown
// command an argument.
func onlyCommands(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{unknownCommand(cmd, args[0])}
	}
	return nil
}

func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// becauseOf returns what is wrong with a flag's value.
func becauseOf(invalid *pflag.InvalidValueError, flags *pflag.FlagSet) error {
	why, value := invalid.Unwrap(), invalid.GetValue()
	var number *strconv.NumError
	if errors.As(why, &number) {
		if isSwitch(invalid.GetFlag()) {
			return fmt.Errorf("%q is neither true nor false", value)
		}
		if number.Err == strconv.ErrRange {
			return fmt.Errorf("%q is out of range", value)
		}
		return fmt.Errorf("%q is not a number", value)
	}
	// the parser reads -port 4730 as -p with the value "ort"
	if short := invalid.GetFlag().Shorthand; short != "" && flags.Lookup(short+value) != nil {
		return fmt.Errorf("%w; did you mean --%s%s?", why, short, value)
	}
	return why
}

// listenError adds a solution to an error of listening.
func listenError(address string, err error) error {
	if errors.Is(err, reactor.ErrAddress) {
		return usageError{fmt.Errorf("--listen: %w", err)}
	}
	why := err
	var operation *net.OpError
	var system *os.SyscallError
	var name *net.DNSError
	if errors.As(err, &operation) {
		why = operation.Err
		if tcp, ok := operation.Addr.(*net.TCPAddr); ok {
			address = tcp.String() // with its port
		}
	}
	if errors.As(err, &system) {
		why = system.Err
	}
	if errors.As(err, &name) {
		why = errors.New(name.Err)
	}
	hint := ""
	switch {
	case errors.Is(err, syscall.EMFILE):
		hint = ": this process may have too few file descriptors (see ulimit -n)"
	case strings.HasPrefix(address, "unix:"):
		why = fileFault(err)
	case errors.Is(err, fs.ErrPermission):
		hint = ": a port below 1024 needs root (see --user) or the capability CAP_NET_BIND_SERVICE"
	case errors.Is(err, syscall.EADDRINUSE):
		hint = ": another server listens there"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		hint = ": this machine does not have that address"
	}
	return fmt.Errorf("cannot listen on %s: %w%s", address, why, hint)
}

// fileFault returns an error of a file without the file's name and the system call.
func fileFault(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("its directory does not exist")
	case errors.Is(err, syscall.ENOTDIR):
		return errors.New("its directory is a file")
	case errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.EEXIST): // from rename
		return errors.New("it is a directory")
	}
	var path *fs.PathError
	var link *os.LinkError
	var system *os.SyscallError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	case errors.As(err, &system):
		return system.Err
	}
	return err
}

// setFrom sets a flag and records the origin of its value, which errors begin with: --name, FILE:LINE: --name
// or the name of a variable.
func setFrom(flags *pflag.FlagSet, name, value, origin string) error {
	err := flags.Set(name, value)
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		return fmt.Errorf("%s: %w", origin, becauseOf(invalid, flags))
	}
	if err != nil {
		return err
	}
	flag := flags.Lookup(name)
	if flag.Value.Type() == repeatable { // one origin for each value
		return flags.SetAnnotation(name, originAnnotation, append(flag.Annotations[originAnnotation], origin))
	}
	return flags.SetAnnotation(name, originAnnotation, []string{origin})
}

const originAnnotation = "origin"

// originOf returns where a flag's value was written.
func originOf(flags *pflag.FlagSet, name string) string {
	if origin := flags.Lookup(name).Annotations[originAnnotation]; len(origin) > 0 {
		return origin[0]
	}
	return "--" + name
}

// sourceOf returns the source of a flag's value: default, flag (the command line), "environment variable
// NAME" or FILE:LINE. Of a repeatable flag it returns the first.
func sourceOf(f *pflag.Flag) string { return sourcesOf(f)[0] }

// sourcesOf returns the sources of all values of a repeatable flag; one for other flags.
func sourcesOf(f *pflag.Flag) (all []string) {
	if !f.Changed {
		return []string{"default"}
	}
	for _, origin := range f.Annotations[originAnnotation] {
		if origin == "--"+f.Name {
			origin = "flag"
		}
		all = append(all, strings.TrimSuffix(origin, ": --"+f.Name))
	}
	if len(all) == 0 {
		return []string{"flag"}
	}
	return all
}

// meaning returns the first part of a flag's help text.
func meaning(f *pflag.Flag) string {
	_, usage := pflag.UnquoteUsage(f)
	usage, _, _ = strings.Cut(usage, ";")
	return usage
}

// wayOut suggests, in parentheses, what an unknown option may have meant.
func wayOut(cmd *cobra.Command, token string) string {
	switch hint := hintFor(cmd, token); {
	case hint != "":
		return "(" + hint + ")"
	default:
		return fmt.Sprintf("(see %s --help)", cmd.CommandPath())
	}
}

func hintFor(cmd *cobra.Command, token string) string {
	name := strings.TrimLeft(token, "-")
	if len(name) > 1 && cmd.Flags().Lookup(name) != nil {
		return "did you mean --" + name + "?"
	}
	if cmd.HasParent() && cmd.Name() == "serve" {
		if hint := ofGearmand(cmd.Flags(), name); hint != "" {
			return hint
		}
	}
	if near := nearest(name, flagNames(cmd.Flags())); near != "" && len(name) > 1 {
		return "did you mean --" + near + "?"
	}
	// gearloop --port 4731: the command was forgotten.
	serve := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	defaults().register(serve)
	if !cmd.HasParent() && (serve.Lookup(name) != nil || len(name) == 1 && serve.ShorthandLookup(name) != nil) {
		return fmt.Sprintf("%s is an option of gearloop serve", token)
	}
	return ""
}

// ofGearmand returns a hint if name, long or one letter, is an option of C gearmand that serve has under
// another name or not at all.
func ofGearmand(serve *pflag.FlagSet, name string) string {
	theirs := pflag.NewFlagSet(nameOfC, pflag.ContinueOnError)
	defaults().registerC(theirs)
	flag := theirs.Lookup(name)
	if len(name) == 1 {
		flag = theirs.ShorthandLookup(name)
	}
	switch {
	case flag == nil:
		return ""
	case notKept(flag.Name):
		return fmt.Sprintf("an option of gearmand; %s", insteadOfQueues)
	case aliases[flag.Name] != "":
		return fmt.Sprintf("an option of gearmand; here it is --%s", aliases[flag.Name])
	case serve.Lookup(flag.Name) != nil:
		return fmt.Sprintf("an option of gearmand; here it is --%s", flag.Name)
	}
	return "an option of gearmand; it needs --dialect c"
}

// flagNames returns the names of flags to suggest.
func flagNames(flags *pflag.FlagSet) (names []string) {
	flags.VisitAll(func(f *pflag.Flag) {
		if !notKept(f.Name) {
			names = append(names, f.Name)
		}
	})
	return names
}

// nearest returns the word closest to a misspelt one, "" if none is close.
func nearest(word string, words []string) string {
	word = squeezed(word)
	best, least := "", min(3, 1+len(word)/4) // more errors than this are no misspelling
	for _, w := range words {
		s := squeezed(w)
		d := slips(word, s)
		if len(word) > 2 && strings.HasPrefix(s, word) {
			d = 0
		}
		if d < least {
			best, least = w, d
		}
	}
	return best
}

// squeezed removes what is easily confused: capitals, dashes and underscores.
func squeezed(word string) string {
	return strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(word))
}

// slips returns the smallest number of letters to omit, add, change, or swap with the next, to turn a into b.
func slips(a, b string) int {
	before, last, now := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range now {
		now[j] = j
	}
	for i := range len(a) {
		before, last, now = last, now, before
		now[0] = i + 1
		for j := range len(b) {
			changed := last[j]
			if a[i] != b[j] {
				changed++
			}
			now[j+1] = min(last[j+1]+1, now[j]+1, changed)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				now[j+1] = min(now[j+1], before[j-1]+1)
			}
		}
	}
	return now[len(b)]
}
