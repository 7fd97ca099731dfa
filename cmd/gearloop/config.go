package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gearloop/internal/dialect"
)

const configHelp = `Look at the options of gearloop serve without starting a server.`

const printHelp = `Print every option that gearloop serve would have with these options, these variables and this configuration file, and
where each value comes from. The output has the form of a configuration file; options that are as by default
are comments in it.`

const printExample = `  gearloop config print --config-file /etc/gearloop/gearloop.conf
  gearloop config print --config-file /etc/gearloop/gearloop.conf | grep -v '^#'
  gearloop config print --json -- -p 4731`

const checkFileHelp = `Check a configuration file for gearloop serve --config-file: names, values, and what does not go together. Certificates,
keys, tokens and the access list that it names are read, too; the user has to exist, and so do the directories of
files and sockets. Nothing is made, opened for clients or changed, and stored jobs are not looked at (gearloop store
check does that). Variables and the command line of the server are not looked at.

Exit status: 0 when the file can be used, 2 when it cannot; each mistake is one line on standard error.`

func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print the options in force, check a configuration file",
		Long:  configHelp,
		Args:  onlyCommands, RunE: showHelp,
	}
	cmd.AddCommand(configPrintCommand(), &cobra.Command{
		Use: "check FILE", Short: "Find the mistakes in a configuration file", Long: checkFileHelp,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || args[0] == "" {
				return usageError{fmt.Errorf("missing FILE argument (see %s --help)", cmd.CommandPath())}
			}
			return noArguments(cmd, args[1:])
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return checkConfigFile(args[0], cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	})
	return cmd
}

func configPrintCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "print [OPTIONS OF SERVE]", Short: "Print every option with its value and where that comes from", Long: printHelp,
		Example: printExample,
		// The options are those of serve in either dialect, which are parsed below.
		DisableFlagParsing: true,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		asJSON := false
		args = slices.DeleteFunc(slices.Clone(args), func(a string) bool {
			asJSON = asJSON || a == "--json"
			return a == "--json" || a == "--"
		})
		if slices.Contains(args, "--help") || slices.Contains(args, "-h") {
			return cmd.Help()
		}
		o, groups, err := optionsFor(args, cmd.ErrOrStderr())
		if err != nil {
			return usageError{err}
		}
		if asJSON {
			encoder := json.NewEncoder(cmd.OutOrStdout())
			encoder.SetIndent("", "  ")
			encoder.SetEscapeHTML(false)
			return encoder.Encode(o.shownOptions())
		}
		return printOptions(cmd.OutOrStdout(), groups)
	}
	return cmd
}

// optionsFor returns the options of a server with this command line, and its flags in groups.
func optionsFor(args []string, warn io.Writer) (*options, []optionGroup, error) {
	o := defaults()
	if speaksC(programName, args) {
		o.forC()
		flags, own := o.flagsC()
		if err := o.readC(flags, args, warn); err != nil {
			return nil, nil, err
		}
		if err := o.resolveC(); err != nil {
			return nil, nil, err
		}
		return o, groupsOfC(o, flags, own), o.check()
	}
	serve, groups := serveCommandFor(o)
	root := &cobra.Command{Use: programName} // error messages name the command that the options belong to
	root.AddCommand(serve)
	if err := serve.ParseFlags(args); err != nil {
		return nil, nil, plain(serve, err)
	}
	if err := noArguments(serve, serve.Flags().Args()); err != nil {
		return nil, nil, err
	}
	return o, groups, o.read(serve.Flags(), warn)
}

// printOptions writes all options as a configuration file.
func printOptions(out io.Writer, groups []optionGroup) error {
	var text strings.Builder
	fmt.Fprintln(&text, "# Options of gearloop serve. Those that are as by default are comments.")
	for _, g := range groups {
		fmt.Fprintf(&text, "\n# %s\n", g.title)
		g.flags.VisitAll(func(f *pflag.Flag) {
			if f.Hidden || notInFile[f.Name] {
				return
			}
			sources := sourcesOf(f)
			for i, value := range valuesOf(f) {
				line := strings.TrimSpace(f.Name + " = " + quoted(value))
				if !f.Changed {
					line = "#" + line
				}
				source := sources[min(i, len(sources)-1)]
				if source == "flag" {
					source = "the command line"
				}
				fmt.Fprintf(&text, "%-50s # %s\n", line, source)
			}
		})
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// valuesOf returns the values of a flag, several if it is repeatable. It is never empty.
func valuesOf(f *pflag.Flag) []string {
	var all []string
	switch v := f.Value.(type) {
	case interface{ values() []string }:
		all = v.values()
	case pflag.SliceValue:
		all = v.GetSlice()
	default:
		all = []string{f.Value.String()}
	}
	if len(all) == 0 {
		return []string{""}
	}
	return all
}

// quoted returns a value as written in a configuration file.
func quoted(value string) string {
	if strings.TrimSpace(value) != value || withoutComment(value) != value || strings.HasPrefix(value, `"`) {
		return `"` + value + `"`
	}
	return value
}

// checkConfigFile reports whether a server can use a configuration file.
func checkConfigFile(path string, out, warn io.Writer) error {
	err := mistakesIn(path, warn)
	if err == nil {
		fmt.Fprintf(out, "%s can be used\n", path)
		return nil
	}
	all := []error{err}
	var wrong mistakes
	if errors.As(err, &wrong) {
		all = wrong
	}
	for _, e := range all[:len(all)-1] {
		fmt.Fprintf(warn, "%s: %v\n", programName, e)
	}
	return usageError{all[len(all)-1]}
}

// mistakesIn returns the errors of a configuration file by itself.
func mistakesIn(path string, warn io.Writer) error {
	o, err := readAlone(path, warn)
	if err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return o.checkFiles(warn)
}

// readAlone returns the options that a configuration file sets, without variables and command line.
func readAlone(path string, warn io.Writer) (*options, error) {
	o := defaults()
	if dialectInFile(path) != dialect.C.Name {
		o.configFile, o.parsed = path, pflag.NewFlagSet("serve", pflag.ContinueOnError)
		o.register(o.parsed)
		return o, o.fromFile(o.parsed)
	}
	o.forC()
	o.configFile = path
	o.parsed, _ = o.flagsC()
	err := o.fromConfigFile(o.parsed, warn)
	if err == nil {
		err = o.checkC()
	}
	if err == nil {
		err = o.resolveC()
	}
	return o, err
}
