package main

import (
	"bytes"
	"cmp"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gearloop/internal/dialect"
	"gearloop/internal/tlsfiles"
	"gearloop/sched"
)

// read reads options as a program of that name does, up to where it would look at the system.
func read(t *testing.T, name string, args ...string) (o *options, warnings string, err error) {
	t.Helper()
	var warn strings.Builder
	o = defaults()
	o.forC()
	if name == nameOfC {
		o.defaultsOfC()
		o.configFile = filepath.Join(t.TempDir(), "none") // a file of this machine must not affect the test
	}
	flags, _ := o.flagsC()
	if err = o.readC(flags, args, &warn); err == nil {
		err = o.resolveC()
	}
	return o, warn.String(), err
}

// Every option of the C server has an effect, by both of its names.
func TestOptionsOfC(t *testing.T) {
	for _, c := range []struct {
		args  string
		check func(*options) bool
	}{
		{"-b 5|--backlog 5|--backlog=5", func(o *options) bool { return o.backlog == 5 }},
		{"-d|--daemon|--daemonize", func(o *options) bool { return o.daemonize }},
		{"--exceptions", func(o *options) bool { return o.exceptions }},
		{"-f 99|--file-descriptors 99", func(o *options) bool { return o.fileDescriptors == 99 }},
		{"-h|--help", func(o *options) bool { return o.help }},
		{"-j 3|--job-retries 3", func(o *options) bool { return o.lossesAllowed() == 3 }},
		{"-j -1|--job-retries=-1|--job-retries 4294967295|-j 65536", func(o *options) bool { return o.lossesAllowed() == 0 }},
		{"--job-handle-prefix X", func(o *options) bool { return o.handlePrefix == "X" }},
		{"--hashtable-buckets 7", func(o *options) bool { return o.buckets == 7 }},
		{"--keepalive", func(o *options) bool { return o.keepAliveConfig().Enable }},
		{"--keepalive-idle 5", func(o *options) bool { return o.keepAliveConfig().Idle == 5e9 }},
		{"--keepalive-interval 6", func(o *options) bool { return o.keepAliveConfig().Interval == 6e9 }},
		{"--keepalive-count 7", func(o *options) bool { return o.keepAliveConfig().Count == 7 }},
		{"-l x|--log-file x", func(o *options) bool { return o.logFile == "x" }},
		{"-l stderr", func(o *options) bool { return o.logFile == "" }},
		{"-l none", func(o *options) bool { return o.logFile == os.DevNull }},
		{"-L 1.2.3.4|--listen 1.2.3.4", func(o *options) bool { return slices.Equal(o.listen, []string{"1.2.3.4"}) }},
		{"-L tls://x:1", func(o *options) bool { return slices.Equal(o.listen, []string{"tls://x:1"}) }},
		{"-P x|--pid-file x|--pidfile x", func(o *options) bool { return o.pidfile == "x" && !o.pidfileMayFail }},
		{"-r http|--protocol http", func(o *options) bool { return o.protocol == "http" && o.httpPortNumber == 8080 }},
		{"-r http --http-host a --http-host b", func(o *options) bool { return slices.Equal(o.httpHosts, []string{"a", "b"}) }},
		{"-r http", func(o *options) bool { return o.httpQueueTimeout == duration(5*time.Minute) }},
		{"-r http --http-queue-timeout 0", func(o *options) bool { return o.httpQueueTimeout == 0 }},
		{"-r http --http-queue-timeout 90", func(o *options) bool { return o.httpQueueTimeout == duration(90*time.Second) }},
		{"-r http --http-port 81", func(o *options) bool { return o.httpPortNumber == 81 }},
		{"-r http --http-port fd:web", func(o *options) bool { return o.httpPort == "fd:web" }},
		{"-R|--round-robin", func(o *options) bool { return o.roundRobin }},
		{"-q builtin|--queue-type builtin", func(o *options) bool { return o.queueType == "builtin" }},
		{"--syslog", func(o *options) bool { return o.syslog }},
		{"--coredump", func(o *options) bool { return o.coredump }},
		{"-t 3|--threads 3|--loops 3", func(o *options) bool { return o.loops == 3 }},
		{"-t 0", func(o *options) bool { return o.loops == 0 }},
		{"-t 9999|-t -1", func(o *options) bool { return o.loops == maxLoops }},
		{"-u x|--user x", func(o *options) bool { return o.user == "x" }},
		{"--verbose DEBUG|--log-level debug", func(o *options) bool { return o.logLevel.Level == slog.LevelDebug }},
		{"-V|--version", func(o *options) bool { return o.version }},
		{"-w 2|--worker-wakeup 2|--wakeup 2", func(o *options) bool { return o.wakeup == 2 }},
		{"-w 0", func(o *options) bool { each, herd := o.wakeups(); return each == -1 && herd == 0 }},
		{"--wakeup 0", func(o *options) bool { each, herd := o.wakeups(); return each == 0 && herd == 0 }},
		{"-w auto|--wakeup auto|-w 5 --wakeup auto", func(o *options) bool {
			each, herd := o.wakeups()
			return each == -1 && herd == sched.FewSleepers
		}},
		{"-p 81|--port 81|-p81|--port=81", func(o *options) bool { return o.port == 81 }},
		{"--ssl", func(o *options) bool { return o.tls.on }},
		{"--ssl-ca-file x", func(o *options) bool { return o.tls.ca == "x" }},
		{"--ssl-certificate x", func(o *options) bool { return o.tls.certificate == "x" }},
		{"--ssl-key x", func(o *options) bool { return o.tls.key == "x" }},
		{"--check-args", func(o *options) bool { return o.checkArgs }},
		{"--max-packet 1M", func(o *options) bool { return o.maxPacket == 1<<20 }},
	} {
		for args := range strings.SplitSeq(c.args, "|") {
			o, warnings, err := read(t, nameOfC, strings.Fields(args)...)
			if err != nil || warnings != "" {
				t.Errorf("%s: %v, warns %q", args, err, warnings)
			} else if !c.check(o) {
				t.Errorf("%s has no effect", args)
			}
		}
	}
}

// The defaults are the C server's under its name. Elsewhere they are those of gearloop serve where a user
// notices them.
func TestDefaultsOfC(t *testing.T) {
	o, _, err := read(t, nameOfC)
	if err != nil {
		t.Fatal(err)
	}
	if o.dialect.Dialect != dialect.C || o.port != 4730 || o.logFile != "/var/log/gearmand.log" ||
		o.pidfile != "/var/gearmand.pid" || !o.pidfileMayFail || o.logLevel.Level != slog.LevelError ||
		!o.quiet || !o.endsAtOnce || o.wakeup != -1 || o.wakeupGiven || o.loops != 0 ||
		o.jobRetries != 0 || o.keepAliveConfig().Enable || o.tls.on {
		t.Errorf("as gearmand: %+v", o)
	}
	o, _, err = read(t, "gearloop")
	if err != nil {
		t.Fatal(err)
	}
	if o.dialect.Dialect != dialect.C || o.logFile != "" || o.pidfile != "" || o.configFile != "" ||
		o.logLevel.Level != slog.LevelInfo || o.quiet || !o.endsAtOnce || o.wakeup != -1 {
		t.Errorf("as gearloop: %+v", o)
	}
}

// An error that prevents the start is one line that names the option.
func TestMistakesOfC(t *testing.T) {
	for args, part := range map[string]string{
		"--threads x":                      `--threads: "x"`,
		"-b 99999999999":                   `--backlog: "99999999999"`,
		"--verbose LOUD":                   `--verbose: "LOUD" is unknown`,
		"--verbose debug":                  `--verbose: "debug" is unknown`,
		"--hashtable-buckets 0":            "--hashtable-buckets",
		"-q libsqlite3":                    `--queue-type: "libsqlite3" is unknown`,
		"-q nosuch":                        `"nosuch"`,
		"--libsqlite3-db x":                "--libsqlite3-db",
		"--libsqlite3-table=x":             "--libsqlite3-table",
		"--store-queue-on-shutdown":        "--store-queue-on-shutdown",
		"--libmemcached-servers x":         "--libmemcached-servers",
		"--libpq-conninfo x":               "--libpq-conninfo",
		"--redis-server x":                 "--redis-server",
		"--mysql-host x":                   "--mysql-host",
		"--mysql-port 1 --check-args":      "--mysql-port",
		"-r nosuch":                        `--protocol: "nosuch" is unknown`,
		"-r http --http-port x":            `--http-port: "x"`,
		"-r http --http-queue-timeout=-1s": `--http-queue-timeout: "-1s"`,
		"-r http --http-host a:80":         `--http-host: "a:80"`,
		"-r http --http-host http://a":     `--http-host: "http://a"`,
		"-p x":                             `--port: "x"`,
		"-p -1":                            `--port: "-1"`,
		"-p 65536":                         `--port: "65536"`,
		"@/nosuch/file":                    "/nosuch/file",
		"@a @b":                            "'@b'",
		"--config-file /nosuch/file":       "/nosuch/file",
		"--config-file /":                  "configuration file",
		"nonsense":                         "'nonsense'",
		"--max-memory lots":                "--max-memory",
		"--job-handle-prefix " + strings.Repeat("x", 64): "--job-handle-prefix",
	} {
		_, _, err := read(t, nameOfC, strings.Fields(args)...)
		if err == nil || !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line with %s", args, err, part)
		}
	}
}

// The command line overrides Gearloop's variables, these the configuration file, and that GEARMAND_PORT.
func TestWhichCountsMost(t *testing.T) {
	file := filepath.Join(t.TempDir(), "conf")
	if err := os.WriteFile(file, []byte("port=1003\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GEARMAND_PORT", "1004")
	for _, step := range []struct {
		variable string
		args     string
		want     uint16
	}{
		{"", "", 1004},
		{"", "--config-file=" + file, 1003},
		{"1002", "@" + file, 1002},
		{"1002", "-p 1001 @" + file, 1001},
		{"", "-p 4730", 1004}, // as with the C server: the default does not count as chosen
	} {
		if step.variable != "" {
			t.Setenv("GEARLOOP_PORT", step.variable)
		} else {
			os.Unsetenv("GEARLOOP_PORT")
		}
		o, _, err := read(t, nameOfC, strings.Fields(step.args)...)
		if err != nil || o.port != step.want {
			t.Errorf("GEARLOOP_PORT=%s %s: %d, %v; want %d", step.variable, step.args, o.port, err, step.want)
		}
	}
	// An option with two names is one option.
	t.Setenv("GEARLOOP_PIDFILE", "variable")
	t.Setenv("GEARLOOP_WORKER_WAKEUP", "7")
	o, _, err := read(t, nameOfC, "--pid-file", "line", "--wakeup", "2")
	if err != nil || o.pidfile != "line" || o.wakeup != 2 {
		t.Errorf("pid file %q, wakes %d, %v", o.pidfile, o.wakeup, err)
	}
}

// A service called "gearmand" in Kubernetes sets GEARMAND_PORT to something that is no port.
func TestGearmandVariables(t *testing.T) {
	t.Setenv("GEARMAND_PORT", "tcp://10.0.0.1:4730")
	o, warnings, err := read(t, nameOfC)
	const want = "gearloop: ignoring environment variable GEARMAND_PORT=tcp://10.0.0.1:4730: not a port\n"
	if err != nil || o.port != 4730 || warnings != want {
		t.Errorf("port %d, %v, warns %q, want %q", o.port, err, warnings, want)
	}
	t.Setenv("GEARMAND_PORT", "nonsense")
	if _, _, err := read(t, nameOfC); err == nil {
		t.Error("a port that is none is taken")
	}
	t.Setenv("GEARMAND_PORT", "")
	t.Setenv("GEARMAND_CA_CERTIFICATE", "c")
	t.Setenv("GEARMAND_SERVER_PEM", "p")
	t.Setenv("GEARMAND_SERVER_KEY", "k")
	o, _, err = read(t, nameOfC, "--ssl-key=other", "--ssl")
	if f := o.tls.files(); err != nil || f != (tlsfiles.Files{Certificate: "p", Key: "k", CA: "c"}) {
		t.Errorf("%+v, %v", f, err)
	}
}

// A configuration file contains options as on the command line, or lines "key = value".
func TestConfigFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "conf")
	for _, c := range []struct {
		text     string
		want     string // of what is set
		warnings string
	}{
		{"", "4730 false 0 -", ""},
		{"--port=81\n--exceptions\n", "81 true 0 -", ""},
		{"-p 81 -j 3\r\n--log-file\nx", "81 false 3 x", ""},
		{"port=81\nexceptions=true\njob-retries = 3\nlog-file = a b\n", "81 true 3 a b", ""},
		{"# port=81\n  # more\nport=82 # and more\n--job-retries 1 # too\nexceptions=no\n", "82 false 1 -", ""},
		{"log-file=a#b\n", "4730 false 0 a#b", ""},
		{"--exc\njob-r=3\n", "4730 true 3 -", ""},
		{"config-file=/nosuch\n", "4730 false 0 -", ""},
		{"[server]\nport=81\n\njob-retries 3\n", "81 false 0 -",
			`gearloop: ` + file + `:1: ignoring "[server]", which is not an option (write NAME = VALUE or --NAME=VALUE)` + "\n" +
				`gearloop: ` + file + `:4: ignoring "job-retries 3", which is not an option (write job-retries = 3)` + "\n"},
	} {
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		o, warnings, err := read(t, nameOfC, "--config-file", file)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		got := fmt.Sprint(o.portText, " ", o.exceptions, " ", o.jobRetries, " ", cmp.Or(strings.TrimPrefix(o.logFile, "/var/log/gearmand.log"), "-"))
		if got != c.want || warnings != c.warnings {
			t.Errorf("%q: %s, warns %q; want %s, %q", c.text, got, warnings, c.want, c.warnings)
		}
	}
	for text, part := range map[string]string{
		"--port\n":             "--port",
		"--port=\n":            "--port",
		"port=\n":              "--port",
		"port=81\n--port=82\n": "more than once",
		"nosuch=1\n":           "'--nosuch'",
		"--nosuch\n":           "'--nosuch'",
		"keepalive-i=1\n":      "ambiguous",
		"exceptions=perhaps\n": "--exceptions",
		"exceptions=\n":        "--exceptions",
		"--check-args\n":       "--check-args",
		"threads=x\n":          "--threads",
		"libsqlite3-db=/x\n":   "--libsqlite3-db",
		"verbose=LOUD\n":       "--verbose",
		"dialect=perl\n":       "--dialect",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := read(t, nameOfC, "--config-file", file)
		line := fmt.Sprintf("%s:%d: ", file, strings.Count(text, "\n"))
		if err == nil || !strings.HasPrefix(err.Error(), line) || !strings.Contains(err.Error(), part) {
			t.Errorf("%q: %v, want something about %s in line %s", text, err, part, line)
		}
	}
	// Lines that are not options are ignored only under the C server's name.
	if err := os.WriteFile(file, []byte("# port\nport 81\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := read(t, "gearloop", "--config-file", file)
	if err == nil || err.Error() != file+`:2: unexpected "port 81", which is not an option (write port = 81)` {
		t.Errorf("a line that is not an option: %v", err)
	}
}

// The dialect must be known before the command line can be parsed.
func TestSpeaksC(t *testing.T) {
	for _, c := range []struct {
		variable, name, args string
		want                 bool
	}{
		{"", "gearloop", "", false},
		{"", "gearloop", "--dialect c", true},
		{"", "gearloop", "-p 1 --dialect=c -d", true},
		{"", "gearloop", "--dialect", false},
		{"", "gearloop", "--dialect=perl", false},
		{"", "gearloop", "-- --dialect=c", false},
		{"", "gearloop", "--dialect cobol", false},
		{"c", "gearloop", "", true},
		{"c", "gearloop", "--dialect perl", false},
		{"", "gearmand", "", true},
		{"", "gearmand", "--dialect perl", false},
		{"", "gearmand", "--dialect cobol", true}, // where it is refused
		{"perl", "gearmand", "", false},
		{"perl", "gearmand", "--dialect c", true},
	} {
		t.Setenv("GEARLOOP_DIALECT", c.variable)
		if got := speaksC(c.name, strings.Fields(c.args)); got != c.want {
			t.Errorf("GEARLOOP_DIALECT=%s %s %s: %v", c.variable, c.name, c.args, got)
		}
	}
}

// --check-args, --help and --version exclude everything else, in this order.
func TestQuestionsOfC(t *testing.T) {
	for args, part := range map[string]string{
		"--version":                      "\ngearmand 1.1.20 - Gearloop " + version + "\n",
		"-V":                             "\ngearmand 1.1.20 - Gearloop " + version + "\n",
		"-Vh":                            "Usage:\n  gearmand [options]",
		"--help":                         "--keepalive-interval",
		"-h":                             "--max-memory",
		"--check-args":                   "",
		"--check-args -hV":               "",
		"--check-args -p x":              "", // the C server checks a port when it opens it
		"--check-args --user nosuch":     "",
		"--check-args -d -P /nosuch/pid": "",
	} {
		var out, warn bytes.Buffer
		err := serveC(nameOfC, strings.Fields(args), &out, &warn)
		if err != nil || warn.Len() > 0 || part == "" && out.Len() > 0 || !strings.Contains(out.String(), part) {
			t.Errorf("%s: %v, prints %q, warns %q; want %q", args, err, &out, &warn, part)
		}
	}
	if err := serveC(nameOfC, []string{"-h", "--nosuch"}, new(bytes.Buffer), new(bytes.Buffer)); err == nil {
		t.Error("help makes up for an unknown option")
	}
}

// localhost is both loopback addresses, whatever the hosts file says.
func TestBothLoopbacks(t *testing.T) {
	for address, want := range map[string]string{
		"localhost":          "127.0.0.1 [::1]",
		"localhost:80":       "127.0.0.1:80 [::1]:80",
		"tls://localhost:80": "tls://127.0.0.1:80 tls://[::1]:80",
		"localhost.invalid":  "localhost.invalid",
		"127.0.0.1":          "127.0.0.1",
		":80":                ":80",
		"unix:localhost":     "unix:localhost",
	} {
		if l, err := net.Listen("tcp6", "[::1]:0"); err == nil {
			l.Close()
		} else { // this machine has only IPv4
			want, _, _ = strings.Cut(want, " ")
		}
		if got := strings.Join(bothLoopbacks(address), " "); got != want {
			t.Errorf("%s: %s; want %s", address, got, want)
		}
	}
}
