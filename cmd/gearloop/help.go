package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpWidth is how wide a help text may be, in columns.
const helpWidth = 100

// groupedUsage has a command show its flags in groups.
func groupedUsage(cmd *cobra.Command, groups []optionGroup) {
	cmd.SetUsageFunc(func(cmd *cobra.Command) error {
		var text strings.Builder
		fmt.Fprintf(&text, "Usage:\n  %s [options]\n\nExamples:\n%s\n", cmd.CommandPath(), cmd.Example)
		writeGroups(&text, groups)
		_, err := fmt.Fprint(cmd.OutOrStderr(), text.String())
		return err
	})
}

// writeGroups writes the help of all flags but the hidden ones, which may leave groups without any.
func writeGroups(text *strings.Builder, groups []optionGroup) {
	for _, g := range groups {
		visible := false
		g.flags.VisitAll(func(f *pflag.Flag) { visible = visible || !f.Hidden })
		if visible {
			fmt.Fprintf(text, "\n%s:\n%s", g.title, g.flags.FlagUsagesWrapped(helpWidth))
		}
	}
}
