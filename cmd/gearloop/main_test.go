package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// run runs the program with arguments, in this process. Only for arguments that do not start a server.
func run(args ...string) (output string, err error) {
	root := rootCommand()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err = root.Execute()
	return out.String(), err
}

func serveOf(t *testing.T) *cobra.Command {
	t.Helper()
	cmd, _, err := rootCommand().Find([]string{"serve"})
	if err != nil || cmd.Name() != "serve" {
		t.Fatalf("no command serve: %v", err)
	}
	return cmd
}

func TestHelpNamesEveryFlag(t *testing.T) {
	for _, arg := range []string{"--help", "-h"} {
		help, err := run("serve", arg)
		if err != nil {
			t.Fatal(err)
		}
		serveOf(t).Flags().VisitAll(func(f *pflag.Flag) {
			line := "--" + f.Name
			if f.Shorthand != "" {
				line = "-" + f.Shorthand + ", " + line
			}
			if !strings.Contains(help, line+" ") {
				t.Errorf("serve %s does not show %q", arg, line)
			}
			if f.Usage == "" {
				t.Errorf("--%s has no help text", f.Name)
			}
		})
	}
	help, err := run()
	if err != nil || !strings.Contains(help, "serve") || !strings.Contains(help, "version") {
		t.Errorf("without arguments: %v\n%s", err, help)
	}
}

// TestPerlOptions gives every option of the Perl server, by the names that it has there.
func TestPerlOptions(t *testing.T) {
	for name, args := range map[string][]string{
		"daemonize":    {"-d", "--daemonize"},
		"port":         {"-p 1", "-p1", "--port 1", "--port=1"},
		"listen":       {"-L 127.0.0.1", "--listen 127.0.0.1", "--listen=127.0.0.1"},
		"pidfile":      {"--pidfile x", "--pidfile=x"},
		"debug":        {"--debug 1", "--debug=1"},
		"accept":       {"--accept 5", "--accept=5"},
		"wakeup":       {"--wakeup 5", "--wakeup=-1", "--wakeup -1"},
		"wakeup-delay": {"--wakeup-delay 0.5", "--wakeup-delay=-1", "--wakeup-delay -1"},
		"version":      {"-V", "--version"},
	} {
		for _, a := range args {
			o, f := newFlags()
			if err := f.Parse(strings.Fields(a)); err != nil {
				t.Errorf("%s: %v", a, err)
				continue
			}
			if !f.Changed(name) || f.NArg() != 0 {
				t.Errorf("%s does not set %s", a, name)
			}
			if err := o.check(); err != nil {
				t.Errorf("%s: %v", a, err)
			}
		}
	}
	for _, a := range []string{"-h", "--help"} {
		if out, err := run("serve", a); err != nil || !strings.Contains(out, "Usage:") {
			t.Errorf("%s: %v\n%s", a, err, out)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Setenv("GEARLOOP_PORT", "no port") // not even looked at
	for _, args := range [][]string{{"version"}, {"serve", "-V"}, {"serve", "--version"}} {
		if out, err := run(args...); err != nil || out != "gearloop "+Version+"\n" {
			t.Errorf("%v: %q, %v", args, out, err)
		}
	}
}

func TestMistakes(t *testing.T) {
	for _, m := range []struct{ args, want string }{
		{"serve --port 65536", `--port: "65536" is out of range`},
		{"serve -p 65536", `--port: "65536" is out of range`},
		{"serve --port=-1", `--port: "-1" is not a number`},
		{"serve --port x", `--port: "x" is not a number`},
		{"serve --wakeup many", `--wakeup: "many" is not a number`},
		{"serve --wakeup 1.5", `--wakeup: "1.5" is not a number`},
		{"serve --wakeup-delay soon", `--wakeup-delay: "soon" is not a number`},
		{"serve --wakeup-delay 1e999", `--wakeup-delay: "1e999" is out of range`},
		{"serve --max-packet lots", `--max-packet: "lots" is not a size, such as 65536 or 64M`},
		{"serve --max-packet auto", `--max-packet: "auto" is not a size, such as 65536 or 64M`},
		{"serve --log-level loud", `--log-level: unknown level "loud" (there are: debug, info, warn, error)`},
		{"serve --nosuch", "unknown flag: --nosuch"},
		{"serve -Z", "unknown shorthand flag: 'Z' in -Z"},
		{"serve --port", "flag needs an argument: --port"},
		{"serve more", `unexpected argument "more" (see gearloop serve --help)`},
		{"version more", `unexpected argument "more" (see gearloop version --help)`},
		{"nosuch", `unknown command "nosuch" (see gearloop --help)`},
		{"--nosuch", "unknown flag: --nosuch (did you mean: gearloop serve?)"},
		{"serve --drain-timeout soon", `--drain-timeout: "soon" is not a time, such as 90 (seconds) or 1m30s`},
		{"serve --drain-timeout=-5", `--drain-timeout: "-5" is out of range`},
		{"serve --accept 0", "--accept is 0: it must be from 1 to 1000"},
	} {
		out, err := run(strings.Fields(m.args)...)
		if err == nil || err.Error() != m.want {
			t.Errorf("%s: %v\n\twant %s", m.args, err, m.want)
		}
		if !errors.As(err, new(usageError)) {
			t.Errorf("%s: %T is no usageError: the exit status would not be 2", m.args, err)
		}
		if out != "" {
			t.Errorf("%s: printed beside the error: %s", m.args, out)
		}
	}
	for _, m := range []struct{ args, part string }{
		{"serve --dialect latin", `--dialect: unknown dialect "latin" (there is: perl`},
		{"serve --daemonize=perhaps", `--daemonize: "perhaps" is not`},
	} {
		_, err := run(strings.Fields(m.args)...)
		if err == nil || !strings.HasPrefix(err.Error(), m.part) || strings.Contains(err.Error(), "strconv") {
			t.Errorf("%s: %v", m.args, err)
		}
	}
}

func TestPlainKeepsOtherErrors(t *testing.T) {
	err := errors.New("something else")
	if got := plain(err); got != err {
		t.Errorf("got %v", got)
	}
}

func TestPidfile(t *testing.T) {
	if err := writePidfile(""); err != nil {
		t.Errorf("without a file: %v", err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "x.pid")
	if err := os.WriteFile(path, []byte("an old and long content\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writePidfile(path); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != strconv.Itoa(os.Getpid())+"\n" {
		t.Errorf("%q, %v", b, err)
	}
	// A directory can't be replaced by a file; nothing must be left over.
	sub := filepath.Join(dir, "sub")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{sub, filepath.Join(dir, "none", "x.pid")} {
		if err := writePidfile(bad); err == nil || !strings.HasPrefix(err.Error(), "pid file: ") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left over: %v, %v", entries, err)
	}
}
