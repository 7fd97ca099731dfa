package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// run runs the program in this process. The arguments must not start a server.
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

// TestPerlOptions gives every option of the Perl server under its name there.
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
	for _, args := range [][]string{{"version"}, {"serve", "-V"}, {"serve", "--version"}, {"--version"}, {"-V"}} {
		line := regexp.MustCompile(`^gearloop ` + regexp.QuoteMeta(version) + ` \((revision [0-9a-f]+(-dirty)?, )?go1\.\S+, \w+/\w+\)\n$`)
		if out, err := run(args...); err != nil || !line.MatchString(out) {
			t.Errorf("%v: %q, %v", args, out, err)
		}
	}
}

// A mistake on the command line is a usageError, which gives exit status 2, and nothing is printed besides.
// The texts are tested in test/systest.
func TestMistakes(t *testing.T) {
	for _, args := range []string{
		"serve --port 65536", "serve --nosuch", "serve -Z", "serve --port", "serve more", "serve --=x", "version more", "nosuch",
		"--nosuch", "store nosuch", "bench --nosuch", "serve --data-dir=", "serve --sync none", "serve --daemonize=perhaps",
	} {
		out, err := run(strings.Fields(args)...)
		if !errors.As(err, new(usageError)) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %T: %v", args, err, err)
		}
		if out != "" {
			t.Errorf("%s: printed beside the error: %s", args, out)
		}
	}
}

// Errors of the system about an address are followed by the way out. As root not all of them can be provoked.
func TestListenError(t *testing.T) {
	at := func(errno syscall.Errno, ip string, port int) error {
		return fmt.Errorf("x: %w", &net.OpError{
			Op: "listen", Net: "tcp", Addr: &net.TCPAddr{IP: net.ParseIP(ip), Port: port}, Err: os.NewSyscallError("bind", errno),
		})
	}
	for want, c := range map[string]struct {
		address string
		err     error
	}{
		"cannot listen on :80: permission denied: a port below 1024 needs root (see --user) or the capability CAP_NET_BIND_SERVICE": {":80", at(syscall.EACCES, "", 80)},
		"cannot listen on 127.0.0.1:4730: address already in use: another server listens there":                                     {"localhost", at(syscall.EADDRINUSE, "127.0.0.1", 4730)},
		"cannot listen on unix:/x: permission denied":                                                                               {"unix:/x", os.NewSyscallError("bind", syscall.EACCES)},
	} {
		err := listenError(c.address, c.err)
		if err.Error() != want {
			t.Errorf("%s: %q, want %q", c.address, err, want)
		}
		if errors.As(err, new(usageError)) {
			t.Errorf("%s: counts as a mistake in the options", c.address)
		}
	}
}

// The program suggests names that were probably meant, and no others.
func TestNearest(t *testing.T) {
	words := []string{"port", "data-dir", "log-level", "log-file", "max-memory", "max-packet", "pidfile", "ssl", "loops"}
	for word, want := range map[string]string{
		"prot": "port", "ports": "port", "Port": "port", "datadir": "data-dir", "data_dir": "data-dir", "DATA_DIR": "data-dir",
		"log-levl": "log-level", "log-leevl": "log-level", "pid-file": "pidfile", "max-mem": "max-memory", "loop": "loops",
		"": "", "p": "", "s": "", "xyz": "", "max": "max-memory", "part-time": "", "log": "log-level", "tls": "",
	} {
		if got := nearest(word, words); got != want {
			t.Errorf("%q: %q; want %q", word, got, want)
		}
	}
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"ab", "ba", 1}, {"abc", "abd", 1}, {"abcd", "bcd", 1}, {"ca", "abc", 3}} {
		if got := slips(c.a, c.b); got != c.want {
			t.Errorf("%q to %q: %d; want %d", c.a, c.b, got, c.want)
		}
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
	// A directory cannot be replaced by a file. Nothing is left behind.
	sub := filepath.Join(dir, "sub")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{sub, filepath.Join(dir, "none", "x.pid")} {
		if err := writePidfile(bad); err == nil || !strings.HasPrefix(err.Error(), "pid file "+bad+": ") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left over: %v, %v", entries, err)
	}
}
