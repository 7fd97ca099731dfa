package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gearloop/api"
	"gearloop/internal/monitor"
)

const (
	// completionTime bounds how long a person who presses Tab waits for the server.
	completionTime = time.Second
	// completionMost is how many names are offered.
	completionMost = 200
)

var shells = []string{"bash", "zsh", "fish"}

func completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Write a script with which a shell completes commands, options and names",
		Long: `Write a script with which a shell completes commands, options and their values; functions, handles and connections
are asked for from the server that the command line names.`,
		Example: `  gearloop completion bash > /etc/bash_completion.d/gearloop      # needs the package bash-completion
  gearloop completion zsh > "${fpath[1]}/_gearloop"
  gearloop completion fish > ~/.config/fish/completions/gearloop.fish
  source <(gearloop completion bash)                              # for this shell only`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{fmt.Errorf("%d arguments: want bash, zsh or fish (see %s --help)", len(args), cmd.CommandPath())}
			}
			if !slices.Contains(shells, args[0]) {
				return usageError{fmt.Errorf("the shell: %w", notOneOf(args[0], shells))}
			}
			return nil
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return shells, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			}
			return root.GenFishCompletion(out, true)
		},
	}
}

// completable gives every command of root what its arguments and the values of its flags are completed with,
// where it has nothing of its own.
func completable(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		completable(c)
	}
	if cmd.ValidArgsFunction == nil && !cmd.HasSubCommands() {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if words := wordsOf(f); words != nil {
			cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
		} else if t := f.Value.Type(); t != "path" && t != "file" && !isFileName(f) && !isSwitch(f) {
			cmd.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions)
		}
	})
}

// isFileName reports whether the value of a flag is the name of a file or a directory.
func isFileName(f *pflag.Flag) bool {
	name, _ := pflag.UnquoteUsage(f)
	return name == "file" || name == "path" || name == "directory"
}

// wordsOf returns the values that a flag may have, nil if they can't be listed.
func wordsOf(f *pflag.Flag) []string {
	switch v := f.Value.(type) {
	case *choice:
		return v.words
	case *levelFlag:
		return logLevels
	}
	return nil
}

// completed is a function that completes arguments.
type completed func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective)

// names returns what offers the names that find returns, but for those that stand there already. most is how
// many arguments the command takes, 0 for any number. Nothing is said of a server that can't be reached: the
// command itself will.
func names(most int, find func(ctx context.Context, begun string) []string) completed {
	return func(_ *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if most > 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(context.Background(), completionTime)
		defer cancel()
		var all []string
		for _, name := range find(ctx, begun) {
			plain, _, _ := strings.Cut(name, "\t")
			if strings.HasPrefix(plain, begun) && !slices.Contains(args, plain) && monitor.Printable(plain) == plain {
				all = append(all, name)
			}
		}
		return all, cobra.ShellCompDirectiveNoFileComp
	}
}

// functions finds functions, from any server.
func (s *sourceFlags) functions(ctx context.Context, begun string) (all []string) {
	source, err := s.open()
	if err != nil {
		return nil
	}
	defer source.Close()
	var found []api.Function
	if broker, ok := source.(*monitor.API); ok {
		found, _, _ = monitor.List[api.Function](ctx, broker, "functions", url.Values{"match": {begun + "*"}}, completionMost)
	} else {
		found, _ = source.Functions(ctx, "")
	}
	for i := range found {
		f := &found[i]
		all = append(all, fmt.Sprintf("%s\t%s waiting, %s running", api.Join(f.Name, f.NameBase64), monitor.Number(f.Waiting), monitor.Number(f.Running)))
	}
	return all
}

// functions finds functions of the Gearman servers that are named.
func (s *serverFlags) functions(ctx context.Context, begun string) []string {
	return (&sourceFlags{serverFlags: *s}).functions(ctx, begun)
}

// jobs finds handles of jobs. It looks at the first jobs only: there may be millions.
func (s *sourceFlags) jobs(ctx context.Context, _ string) (all []string) {
	b, err := s.broker()
	if err != nil {
		return nil
	}
	defer b.Close()
	found, _, _ := monitor.List[api.Job](ctx, b.source(), "jobs", url.Values{}, completionMost)
	for i := range found {
		j := &found[i]
		all = append(all, fmt.Sprintf("%s\t%s, %s", j.Handle, monitor.Printable(api.Join(j.Function, j.FunctionBase64)), j.State))
	}
	return all
}

// functionsAndJobs finds functions, and handles behind them.
func (s *sourceFlags) functionsAndJobs(ctx context.Context, begun string) []string {
	return append(s.functions(ctx, begun), s.jobs(ctx, begun)...)
}

// connections finds numbers and addresses of connections.
func (s *sourceFlags) connections(ctx context.Context, _ string) (all []string) {
	b, err := s.broker()
	if err != nil {
		return nil
	}
	defer b.Close()
	found, _, _ := monitor.List[api.Connection](ctx, b.source(), "connections", url.Values{}, completionMost)
	for i := range found {
		c := &found[i]
		what := monitor.Printable(api.Join(c.ClientID, c.ClientRaw))
		all = append(all, c.ID+"\t"+strings.TrimSpace(c.Address+" "+what), c.Address+"\t"+strings.TrimSpace("number "+c.ID+" "+what))
	}
	return all
}

// directories has an argument completed with names of directories.
func directories(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// files has arguments completed with names of files.
func files(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}
