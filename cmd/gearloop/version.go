package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// version is Gearloop's own version.
const version = "0.1.0"

// revision is the commit of the program. The Makefile sets it; otherwise the Go toolchain may have.
var revision string

// builtFrom returns the commit, with -dirty if files were changed; "" if unknown.
func builtFrom() string {
	if revision != "" {
		return revision
	}
	commit, dirty := "", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				commit = s.Value[:min(12, len(s.Value))]
			case s.Key == "vcs.modified" && s.Value == "true":
				dirty = "-dirty"
			}
		}
	}
	if commit == "" {
		return ""
	}
	return commit + dirty
}

// versionLine is the output of gearloop version.
func versionLine() string {
	parts := []string{runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	if from := builtFrom(); from != "" {
		parts = append([]string{"revision " + from}, parts...)
	}
	return fmt.Sprintf("gearloop %s (%s)\n", version, strings.Join(parts, ", "))
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArguments,
		Run:   func(cmd *cobra.Command, _ []string) { fmt.Fprint(cmd.OutOrStdout(), versionLine()) },
	}
}
