package main

import (
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"gearloop/admin"
	"gearloop/store/disk"
)

// newFlags returns the default options and the flags that set them.
func newFlags() (*options, *pflag.FlagSet) {
	o := defaults()
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	o.register(flags)
	return o, flags
}

// parsed returns the options that follow from arguments and variables, or what is wrong with them.
func parsed(t *testing.T, args []string, env map[string]string) (*options, error) {
	t.Helper()
	for name, value := range env {
		t.Setenv(name, value)
	}
	o, flags := newFlags()
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if err := fromEnvironment(flags, io.Discard); err != nil {
		return o, err
	}
	return o, o.check()
}

// examples has for each option a value other than its default, as written and as stored.
var examples = []struct {
	flag, text string
	check      func(*options) bool
	with       []string // what it needs
}{
	{flag: "dialect", text: "perl", check: func(o *options) bool { return o.dialect.Name == "perl" }},
	{flag: "unix-mode", text: "600", check: func(o *options) bool { return o.unixMode == 0o600 }},
	{flag: "user", text: "daemon", check: func(o *options) bool { return o.user == "daemon" }},
	{flag: "port", text: "4731", check: func(o *options) bool { return o.port == 4731 }},
	{flag: "listen", text: "127.0.0.1:1", check: func(o *options) bool { return len(o.listen) == 1 && o.listen[0] == "127.0.0.1:1" }},
	{flag: "loops", text: "3", check: func(o *options) bool { return o.loops == 3 }},
	{flag: "min-loops", text: "3", check: func(o *options) bool { return o.minLoops == 3 }},
	{flag: "wakeup", text: "-1", check: func(o *options) bool { each, herd := o.wakeups(); return each == -1 && herd == 0 }},
	{flag: "wakeup", text: "3", check: func(o *options) bool { each, herd := o.wakeups(); return each == 3 && herd == 0 }},
	{flag: "wakeup-delay", text: "0.25", check: func(o *options) bool { return o.wakeupPause() == 250*time.Millisecond }},
	{flag: "accept", text: "20", check: func(o *options) bool { return o.accept == 20 }},
	{flag: "max-packet", text: "2M", check: func(o *options) bool { return o.maxPacket == 2<<20 }},
	{flag: "max-outbound", text: "3M", check: func(o *options) bool { return o.maxOutbound == 3<<20 }},
	{flag: "max-memory", text: "1G", check: func(o *options) bool { return o.maxMemory == 1<<30 }},
	{flag: "data-dir", text: "jobs", check: func(o *options) bool { return o.dataDir == "jobs" }},
	{
		flag: "sync", text: "interval=20ms", with: []string{"--data-dir=jobs"},
		check: func(o *options) bool { return o.sync == syncFlag{disk.SyncInterval, 20 * time.Millisecond} },
	},
	{flag: "store", text: "postgres://h/jobs", check: func(o *options) bool { return o.shared.url == "postgres://h/jobs" && o.keeps() }},
	{flag: "node", text: "a", with: []string{"--store=postgres://h/jobs"}, check: func(o *options) bool { return o.shared.node == "a" }},
	{
		flag: "peer-address", text: "b1:4730", with: []string{"--store=postgres://h/jobs"},
		check: func(o *options) bool { return o.shared.peerAddress == "b1:4730" },
	},
	{flag: "job-retries", text: "3", with: []string{"--data-dir=jobs"}, check: func(o *options) bool { return o.lossesAllowed() == 3 }},
	{flag: "job-retries", text: "-1", with: []string{"--data-dir=jobs"}, check: func(o *options) bool { return o.lossesAllowed() == 0 }},
	{flag: "max-connections", text: "77", check: func(o *options) bool { return o.maxConnections == 77 }},
	{flag: "dead-peer-after", text: "30s", check: func(o *options) bool { return o.deadPeerAfter == duration(30*time.Second) }},
	{flag: "allow-admin", text: "unix", check: func(o *options) bool { return o.allowAdmin.Allow == admin.AllowUnix }},
	{flag: "drain-timeout", text: "1m30s", check: func(o *options) bool { return o.drainTimeout == duration(90*time.Second) }},
	{flag: "pidfile", text: "/run/x.pid", check: func(o *options) bool { return o.pidfile == "/run/x.pid" }},
	{flag: "daemonize", text: "true", check: func(o *options) bool { return o.daemonize }},
	{flag: "log-level", text: "warn", check: func(o *options) bool { return o.logLevel.Level == slog.LevelWarn }},
	{flag: "log-file", text: "some.log", check: func(o *options) bool { return o.logFile == "some.log" }},
	{flag: "log-format", text: "json", check: func(o *options) bool { return o.logFormat == "json" }},
	{flag: "ssl", text: "true", check: func(o *options) bool { return o.tls.on }},
	{flag: "ssl-ca-file", text: "ca.pem", check: func(o *options) bool { return o.tls.ca == "ca.pem" }, with: []string{"--ssl"}},
	{flag: "ssl-certificate", text: "s.pem", check: func(o *options) bool { return o.tls.certificate == "s.pem" }, with: []string{"--ssl"}},
	{flag: "ssl-key", text: "s.key", check: func(o *options) bool { return o.tls.key == "s.key" }, with: []string{"--ssl"}},
	{flag: "ssl-verify-client", text: "true", check: func(o *options) bool { return o.tls.verifyClient }, with: []string{"--ssl"}},
	{
		flag: "ssl-allow-plain", text: "true", with: []string{"--ssl", "--ssl-verify-client"},
		check: func(o *options) bool { return o.tls.allowPlain },
	},
	{flag: "web", text: "127.0.0.1:4780", check: func(o *options) bool { return len(o.web.listen) == 1 && o.web.listen[0] == "127.0.0.1:4780" }},
	{flag: "web", text: "tls://fd:web", check: func(o *options) bool { return len(o.web.listen) == 1 && o.web.hasTLS() }, with: []string{"--ssl"}},
	{flag: "debug-listen", text: "fd:debug", check: func(o *options) bool { return o.debugListen == "fd:debug" }},
	{flag: "admin-socket", text: "/run/a", check: func(o *options) bool { return o.web.socket == "/run/a" }},
	{flag: "web-tokens", text: "t", check: func(o *options) bool { return o.web.tokens == "t" }, with: []string{"--web=:1"}},
	{flag: "web-host", text: "b.example", check: func(o *options) bool { return len(o.web.hosts) == 1 }, with: []string{"--web=127.0.0.1:1"}},
	{flag: "web-read-only", text: "true", check: func(o *options) bool { return o.web.readOnly }, with: []string{"--admin-socket=x"}},
	{flag: "web-anonymous", text: "none", check: func(o *options) bool { return o.web.anonymous.given }, with: []string{"--web=127.0.0.1:1"}},
	{flag: "metrics-functions", text: "7", check: func(o *options) bool { return o.web.functions == 7 }},
	{flag: "metrics-histograms", text: "0", check: func(o *options) bool { return o.web.histograms == 0 }},
	{flag: "acl", text: "some.acl", check: func(o *options) bool { return o.access.file == "some.acl" }},
	{flag: "proxy-protocol", text: "10.0.0.7", check: func(o *options) bool { return o.access.proxies.String() == "10.0.0.7/32" }},
	{flag: "debug-listen", text: ":6060", check: func(o *options) bool { return o.debugListen == "127.0.0.1:6060" }},
	{flag: "debug", text: "1", check: func(o *options) bool { return o.logLevel.Level == slog.LevelDebug }},
}

func variable(flag string) string {
	return "GEARLOOP_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Every option can be given as a flag and as a variable. The flag wins.
func TestEveryOption(t *testing.T) {
	seen := map[string]bool{"version": true, "check-args": true, "config-file": true}
	for _, e := range examples {
		seen[e.flag] = true
		t.Run(e.flag, func(t *testing.T) {
			o, err := parsed(t, append([]string{"--" + e.flag + "=" + e.text}, e.with...), nil)
			if err != nil || !e.check(o) {
				t.Errorf("as a flag: %v", err)
			}
			o, err = parsed(t, e.with, map[string]string{variable(e.flag): e.text})
			if err != nil || !e.check(o) {
				t.Errorf("as a variable: %v", err)
			}
			t.Setenv(variable(e.flag), "nonsense")
			o, err = parsed(t, append([]string{"--" + e.flag + "=" + e.text}, e.with...), nil)
			if err != nil || !e.check(o) {
				t.Errorf("as both: %v", err)
			}
		})
	}
	_, flags := newFlags()
	flags.VisitAll(func(f *pflag.Flag) {
		if !seen[f.Name] {
			t.Errorf("--%s has no example in this test", f.Name)
		}
	})
}

// Values that make no sense are rejected.
func TestBadValues(t *testing.T) {
	for _, arg := range []string{
		"--dialect=cobol", "--port=65536", "--port=-1", "--port=x", "--loops=-1", "--loops=257", "--min-loops=0", "--min-loops=257", "--wakeup=-2", "--wakeup=x",
		"--wakeup-delay=-0.5", "--wakeup-delay=NaN", "--wakeup-delay=Inf", "--wakeup-delay=x", "--accept=0", "--accept=1001",
		"--max-packet=1023", "--max-packet=4G", "--max-packet=auto", "--max-packet=-1", "--max-outbound=1", "--max-outbound=x",
		"--sync=none", "--sync=interval=0s", "--sync=never",
		"--max-memory=-1", "--max-memory=1X", "--max-memory=", "--max-connections=-1", "--dead-peer-after=-1s",
		"--allow-admin=nobody", "--allow-admin=", "--drain-timeout=-1s", "--drain-timeout=x", "--log-level=loud", "--log-format=xml", "--debug=x",
		"--daemonize=x", "--no-such-flag", "-x",
	} {
		if _, err := parsed(t, []string{arg}, nil); err == nil {
			t.Errorf("%s is taken", arg)
		}
	}
}

// The error about a variable names it.
func TestBadVariables(t *testing.T) {
	for _, e := range examples {
		switch e.flag {
		case "listen", "pidfile", "user", "log-file", "data-dir", "node", "peer-address", "acl", "ssl-ca-file", "ssl-certificate", "ssl-key", "admin-socket", "web-tokens", "web-host":
			continue // every text is a value
		}
		t.Run(e.flag, func(t *testing.T) {
			_, err := parsed(t, nil, map[string]string{variable(e.flag): "nonsense"})
			if err == nil || e.flag != "log-format" && !strings.Contains(err.Error(), variable(e.flag)) {
				t.Errorf("error is %v", err)
			}
		})
	}
}

// Variables of these names that orchestrators set for other purposes are no mistake.
func TestVariablesOfOthers(t *testing.T) {
	t.Setenv("GEARLOOP_PORT", "tcp://10.0.0.1:4730")
	var warning strings.Builder
	_, flags := newFlags()
	const want = "gearloop: ignoring environment variable GEARLOOP_PORT=tcp://10.0.0.1:4730: not a port\n"
	if err := fromEnvironment(flags, &warning); err != nil || warning.String() != want {
		t.Errorf("warns %q, want %q; %v", &warning, want, err)
	}
	o, err := parsed(t, nil, map[string]string{
		"GEARLOOP_PORT": "tcp://10.0.0.1:4730", "GEARLOOP_VERSION": "1.2", "GEARLOOP_HELP": "x", "GEARLOOP_PORT_4730_TCP": "tcp://10.0.0.1:4730",
	})
	if err != nil || o.port != 4730 || o.version {
		t.Errorf("port %d, version %v, %v", o.port, o.version, err)
	}
	o, err = parsed(t, nil, map[string]string{"GEARLOOP_LISTEN": "127.0.0.1:1,unix:/x,[::1]:2"})
	if err != nil || len(o.listen) != 3 || o.listen[2] != "[::1]:2" {
		t.Errorf("listen is %q, %v", o.listen, err)
	}
}

// Sizes may have the usual letters, in upper and lower case, and are shown in the same form.
func TestSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "1000": 1000, "1k": 1 << 10, "1K": 1 << 10, "1KB": 1 << 10, "1KiB": 1 << 10, "1kib": 1 << 10,
		"64M": 64 << 20, "64MiB": 64 << 20, "3g": 3 << 30, "2T": 2 << 40, " 5M ": 5 << 20, "1024T": 1 << 50,
	} {
		var s size
		if err := s.Set(text); err != nil || int64(s) != want {
			t.Errorf("%q: %d, %v; want %d", text, s, err, want)
		}
	}
	for _, text := range []string{"", "K", "-1", "1.5M", "1P", "x", "1KK", "0x10", "1e3", "auto", "9999999999999999999", "1025T", "B", "iB"} {
		var s size
		if err := s.Set(text); err == nil {
			t.Errorf("%q is taken as %d", text, s)
		}
	}
	for n, want := range map[size]string{0: "0", 1: "1", 1023: "1023", 1 << 10: "1K", 1<<20 + 1<<10: "1025K", 64 << 20: "64M", 3 << 30: "3G", automatic: "auto"} {
		if got := n.String(); got != want {
			t.Errorf("%d is shown as %s, want %s", int64(n), got, want)
		}
	}
}

// An option that can be left to the program can be reset to that after a number.
func TestAutoSize(t *testing.T) {
	s := automatic
	a := autoSize{&s}
	for _, step := range []struct {
		text string
		want size
	}{{"auto", automatic}, {"1G", 1 << 30}, {"auto", automatic}, {"0", 0}} {
		if err := a.Set(step.text); err != nil || s != step.want {
			t.Errorf("%s: %d, %v", step.text, s, err)
		}
	}
	if err := a.Set("automatic"); err == nil || s != 0 {
		t.Errorf("automatic: %d, %v", s, err)
	}
	o, err := parsed(t, []string{"--max-memory", "1G", "--max-memory", "auto"}, nil)
	if err != nil || o.maxMemory != automatic {
		t.Errorf("a number and auto: %v, %v", &o.maxMemory, err)
	}
}
