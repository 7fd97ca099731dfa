package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"gearloop/codec"
	"gearloop/test/peers"
	"gearloop/test/texts"
	"gearloop/test/wire"
)

// services are the units that run a server.
var services = []string{"systemd/gearloop.service", "systemd/gearloop-gearmand.service"}

// run runs a command, which must succeed, and returns its output.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// The services are confined: systemd's own measure of exposure, from 0 to 10, is at most 2.0.
func TestUnitsAreConfined(t *testing.T) {
	for _, unit := range services {
		out := run(t, "systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=20", unit)
		if !strings.Contains(out, "Overall exposure level") {
			t.Errorf("%s: %s", unit, out)
		}
	}
}

// systemd understands every line of the units without a warning.
func TestUnitsAreValid(t *testing.T) {
	dir := t.TempDir()
	args := []string{"verify", "--man=no"}
	program := regexp.MustCompile(`(?m)^ExecStart=/usr/s?bin/(gearloop|gearmand)`)
	for _, unit := range append([]string{"systemd/gearloop.socket"}, services...) {
		text := program.ReplaceAllString(texts.File(t, unit), "ExecStart="+peers.Binary(t))
		path := filepath.Join(dir, filepath.Base(unit))
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	if out := run(t, "systemd-analyze", args...); out != "" {
		t.Error(out)
	}
}

// callsOf returns the system calls that a service allows: those of the allowed sets without those of the
// denied ones.
func callsOf(t *testing.T, unit string) map[string]bool {
	t.Helper()
	sets, set := map[string][]string{}, ""
	for line := range strings.Lines(run(t, "systemd-analyze", "--no-pager", "syscall-filter")) {
		switch word := strings.TrimSpace(line); {
		case strings.HasPrefix(line, "@"):
			set = word
		case word != "" && word[0] != '#' && strings.HasPrefix(line, " "):
			sets[set] = append(sets[set], word)
		}
	}
	var expand func(name string) []string
	expand = func(name string) (all []string) {
		if name[0] != '@' {
			return []string{name}
		}
		if len(sets[name]) == 0 {
			t.Fatalf("systemd has no set %s", name)
		}
		for _, n := range sets[name] {
			all = append(all, expand(n)...)
		}
		return all
	}
	allowed := map[string]bool{}
	for line := range strings.Lines(texts.File(t, unit)) {
		value, ok := strings.CutPrefix(strings.TrimSpace(line), "SystemCallFilter=")
		if !ok {
			continue
		}
		value, denies := strings.CutPrefix(value, "~")
		for _, name := range strings.Fields(value) {
			for _, call := range expand(name) {
				if denies {
					delete(allowed, call)
				} else {
					allowed[call] = true
				}
			}
		}
	}
	if !allowed["epoll_wait"] || allowed["mount"] {
		t.Fatalf("%s: the filter was not understood", unit)
	}
	return allowed
}

// A server that does everything it can stays within what its unit allows: system calls, kinds of sockets, and
// no memory that is both writable and executable.
func TestUnitAllowsWhatTheServerDoes(t *testing.T) {
	dir := t.TempDir()
	trace := filepath.Join(dir, "trace")
	conf := filepath.Join(dir, "gearloop.conf")
	text := "listen = 127.0.0.1:0\nlisten = unix:" + dir + "/socket\nweb = 127.0.0.1:0\nadmin-socket = " + dir + "/admin\ndata-dir = " + dir +
		"/jobs\nlog-file = " + dir + "/log\npidfile = " + dir + "/pid\ndrain-timeout = 60s\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// The tracer is the grandchild, so that signals go to the server.
	cmd := exec.Command("strace", "-D", "-f", "-qq", "-e", "signal=none", "-o", trace, peers.Binary(t), "serve", "--config-file", conf)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET=@gearloop-nobody")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	wire.Await(t, "the server runs", func() bool {
		_, err := os.Stat(dir + "/pid")
		return err == nil
	})
	client, worker := wire.Dial(t, "unix:"+dir+"/socket"), wire.Dial(t, "unix:"+dir+"/socket")
	worker.Send(codec.CanDo, "f")
	for range 3 {
		client.Submit(codec.SubmitJobBg, "f", "", strings.Repeat("x", 1<<20))
		handle, _ := worker.Grab()
		worker.Send(codec.WorkComplete, handle, "y")
		worker.Sync()
	}
	run(t, peers.Binary(t), "health", "--ready", "--admin-socket", dir+"/admin")
	cmd.Process.Signal(syscall.SIGHUP)
	wire.Await(t, "the log is opened again", func() bool { return strings.Contains(texts.File(t, dir+"/log"), "SIGHUP") })
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	wire.Await(t, "the trace is whole", func() bool { return strings.Contains(texts.File(t, trace), "exit_group") })

	call := regexp.MustCompile(`^\d+ +([a-z0-9_]+)\(([A-Z_0-9]*)(.*)`)
	for _, unit := range services {
		allowed, seen := callsOf(t, unit), map[string]bool{}
		for line := range strings.Lines(texts.File(t, trace)) {
			m := call.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			seen[m[1]] = true
			families := []string{"AF_INET", "AF_INET6", "AF_UNIX"}
			switch {
			case m[1] == "socket" && !slices.Contains(families, m[2]):
				t.Errorf("%s forbids sockets of %s", unit, m[2])
			case (m[1] == "mmap" || m[1] == "mprotect") && strings.Contains(m[3], "PROT_WRITE|PROT_EXEC"):
				t.Errorf("%s forbids %s", unit, line)
			}
		}
		for name := range seen {
			if !allowed[name] {
				t.Errorf("%s forbids the system call %s", unit, name)
			}
		}
		if len(seen) < 30 {
			t.Errorf("only %d system calls were seen", len(seen))
		}
	}
}
