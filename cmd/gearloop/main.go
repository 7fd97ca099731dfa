// Gearloop is a Gearman job server: clients submit jobs by function name, workers grab them,
// results flow back. This program only wires the packages together and parses flags.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	_ "time/tzdata" // zones for SUBMIT_JOB_SCHED if the system has none

	"github.com/spf13/cobra"

	"gearloop/internal/monitor"
)

// Exit statuses.
const (
	exitFailure = 1 // the server could not start or crashed; in the C server's dialect any error
	exitUsage   = 2 // bad configuration
)

// usageError is an error in flags, environment or arguments.
type usageError struct{ error }

// programName is the program's name in messages.
var programName = "gearloop"

func main() {
	args := os.Args[1:]
	if filepath.Base(os.Args[0]) == nameOfC {
		programName, args = nameOfC, append([]string{"serve"}, args...)
	}
	findForeground()
	status := perform(args)
	flushOutputs()
	os.Exit(status)
}

// perform runs the program, prints its error, and returns its exit status.
func perform(args []string) int {
	var err error
	inC := len(args) > 0 && args[0] == "serve" && speaksC(programName, args[1:])
	if inC {
		err = serveC(programName, args[1:], os.Stdout, warnings(os.Stderr))
	} else {
		root := rootCommand()
		root.SetArgs(args)
		err = root.Execute()
	}
	if err == nil {
		return 0
	}
	if status := exitStatus(0); errors.As(err, &status) {
		return int(status) // the error has been printed
	}
	if errors.As(err, new(checkUnknown)) {
		fmt.Printf("GEARMAN UNKNOWN - %v\n", err) // monitoring systems read standard output
		return int(monitor.Unknown)
	}
	if inBackground() {
		reportToForeground(err.Error())
	} else {
		fmt.Fprintf(console, "%s: %v\n", programName, err)
	}
	if !inC && errors.As(err, new(usageError)) {
		return exitUsage
	}
	return exitFailure
}

// warnings returns where warnings about options go. A process in the background discards them, because the
// process that started it has printed them.
func warnings(to io.Writer) io.Writer {
	switch {
	case inBackground():
		return io.Discard
	case to == os.Stderr:
		return console
	}
	return to
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "gearloop",
		Version:       version,
		Short:         "A Gearman job server",
		Long:          "Gearloop is a Gearman job server: the broker between clients that submit jobs and workers that do them.",
		SilenceErrors: true, // main prints errors, in one line
		SilenceUsage:  true,
		Args:          onlyCommands,
		RunE:          showHelp,
	}
	root.SetVersionTemplate(versionLine())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{plain(cmd, err)}
	})
	root.Flags().BoolP("version", "V", false, "print the version and leave")
	root.CompletionOptions.DisableDefaultCmd = true // ours is in a group
	addCommands(root)
	completable(root)
	return root
}

// noArguments rejects everything that is not an option.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unexpected argument %q (see %s --help)", args[0], cmd.CommandPath())}
	}
	return nil
}
