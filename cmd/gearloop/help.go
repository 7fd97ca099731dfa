package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpWidth is the largest width of a help text, in columns.
const helpWidth = 100

// commandGroup is a group of related commands, with its heading in the help text and in docs/command-line.md.
type commandGroup struct {
	title    string
	commands []*cobra.Command
}

// commandGroups returns all commands, in the order in which they are shown.
func commandGroups() []commandGroup {
	return []commandGroup{
		{"Run a broker", []*cobra.Command{serveCommand(), configCommand(), storeCommand(), clusterCommand()}},
		{"Submit jobs and do them", []*cobra.Command{submitCommand(), workCommand()}},
		{"See what is going on", []*cobra.Command{
			topCommand(), statCommand(), statusCommand(), workersCommand(), jobsCommand(), jobCommand(), explainCommand(),
			connectionsCommand(), eventsCommand(), metricsCommand(), operationsCommand(), optionsCommand(), auditCommand(),
		}},
		{"Change what is going on", slices.Concat(functionCommands(), []*cobra.Command{purgeCommand()}, jobCommands(),
			[]*cobra.Command{disconnectCommand(), reloadCommand(), drainCommand()})},
		{"Watch over a broker", []*cobra.Command{checkCommand(), healthCommand()}},
		{"Others", []*cobra.Command{benchCommand(), completionCommand(), versionCommand()}},
	}
}

// Commands are shown in the order in which they are given.
func init() { cobra.EnableCommandSorting = false }

// addCommands adds the commands to root, in groups.
func addCommands(root *cobra.Command) {
	for _, g := range commandGroups() {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title + ":"})
		for _, c := range g.commands {
			c.GroupID = g.title
			root.AddCommand(c)
		}
	}
	root.SetHelpCommandGroupID("Others")
}

// groupedUsage makes a command show its flags in groups.
func groupedUsage(cmd *cobra.Command, groups []optionGroup) {
	cmd.SetUsageFunc(func(cmd *cobra.Command) error {
		var text strings.Builder
		fmt.Fprintf(&text, "Usage:\n  %s [options]\n\nExamples:\n%s\n", cmd.CommandPath(), cmd.Example)
		writeGroups(&text, groups)
		_, err := fmt.Fprint(cmd.OutOrStderr(), text.String())
		return err
	})
}

// writeGroups writes the help of all flags except hidden ones, which may leave groups empty.
func writeGroups(text *strings.Builder, groups []optionGroup) {
	for _, g := range groups {
		visible := false
		g.flags.VisitAll(func(f *pflag.Flag) { visible = visible || !f.Hidden })
		if visible {
			fmt.Fprintf(text, "\n%s:\n%s", g.title, g.flags.FlagUsagesWrapped(helpWidth))
		}
	}
}
