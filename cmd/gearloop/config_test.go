package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"gearloop/api"
)

// confFile returns the name of a configuration file with this text.
func confFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gearloop.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// withFile returns the options that follow from a configuration file, a command line and variables.
func withFile(t *testing.T, path string, args []string, env map[string]string) (*options, error) {
	t.Helper()
	for name, value := range env {
		t.Setenv(name, value)
	}
	o, flags := newFlags()
	if err := flags.Parse(append(args, "--config-file", path)); err != nil {
		return o, err
	}
	return o, o.read(flags, io.Discard)
}

// lineOf returns an option given with dashes and = as a line of a file.
func lineOf(option string) string {
	return strings.Replace(strings.TrimPrefix(option, "--"), "=", " = ", 1) + "\n"
}

// Every option can be set in a file. The command line and variables override it.
func TestEveryOptionInFile(t *testing.T) {
	for _, e := range examples {
		t.Run(e.flag, func(t *testing.T) {
			text := ""
			for _, w := range e.with {
				text += lineOf(w)
			}
			path := confFile(t, text+lineOf("--"+e.flag+"="+e.text))
			if o, err := withFile(t, path, nil, nil); err != nil || !e.check(o) {
				t.Errorf("in a file: %v", err)
			}
			wrong := confFile(t, text+lineOf("--"+e.flag+"=nonsense"))
			if o, err := withFile(t, wrong, []string{"--" + e.flag + "=" + e.text}, nil); err != nil || !e.check(o) {
				t.Errorf("as a flag, too: %v", err)
			}
			if o, err := withFile(t, wrong, nil, map[string]string{variable(e.flag): e.text}); err != nil || !e.check(o) {
				t.Errorf("as a variable, too: %v", err)
			}
		})
	}
}

// The forms of a line.
func TestSettings(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "",
		"# port = 1\n\n \t \n   # more": "",
		"port=1":                        "port=1",
		"\ufeffport = 1\r\nssl\r\n":     "port=1 ssl",
		"--port = 1":                    "port=1",
		"--port=1\n--ssl":               "port=1 ssl",
		"\tport\t=\t1\t":                "port=1",
		"port = 1 # one":                "port=1",
		"ssl # yes":                     "ssl",
		"log-file = a#b":                "log-file=a#b",
		"log-file = a = b":              "log-file=a = b",
		"log-file = a b  # c":           "log-file=a b",
		`log-file = " a # b "`:          "log-file= a # b ",
		`log-file = "a" # b`:            "log-file=a",
		`log-file = a"b"`:               `log-file=a"b"`,
		"port =":                        "port=",
		`port = ""`:                     "port=",
	} {
		var got []string
		err := readSettings(confFile(t, text), func(s setting) error {
			if s.bare {
				got = append(got, s.name)
			} else {
				got = append(got, s.name+"="+s.value)
			}
			return nil
		})
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}

// Each mistake in a file is reported with its line and the way out. config check reports all of them.
func TestMistakesInFile(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"prot = 1", `unknown option "prot" (did you mean port?)`},
		{"p = 1", `unknown option "p" (write port)`},
		{"threads = 1", `unknown option "threads" (an option of gearmand; here it is --loops)`},
		{"exceptions", `unknown option "exceptions" (an option of gearmand; it needs --dialect c)`},
		{"zzzzzzzzz = 1", `unknown option "zzzzzzzzz" (see gearloop serve --help)`},
		{"[server]", `"[server]" is not an option: write NAME = VALUE`},
		{"= 1", `"= 1" is not an option: write NAME = VALUE`},
		{"-p 1", `"-p 1" is not an option: write NAME = VALUE`},
		{"port 1 # one", `"port 1" has no = behind the name: write port = 1`},
		{"port: 1", `"port: 1" is not an option: write NAME = VALUE`},
		{"port", `port needs a value: write port = VALUE`},
		{"port =", `--port: the value is empty: give one, or leave the option out`},
		{"port = 65536", `--port: "65536" is out of range: it must be from 0 to 65535`},
		{"ssl = perhaps", `--ssl: "perhaps" is neither true nor false`},
		{`log-file = "x`, `the quotes of log-file are wrong: a value that begins with a double quote has one more, at its end`},
		{`log-file = "x" y`, `the quotes of log-file are wrong: a value that begins with a double quote has one more, at its end`},
		{"config-file = x", `--config-file has a meaning on the command line only`},
		{"check-args", `--check-args has a meaning on the command line only`},
		{"dialect = cobol", `--dialect: "cobol" is unknown: it must be perl or c`},
	} {
		path := confFile(t, "# first\n"+c.line+"\nnosuch\n")
		_, err := withFile(t, path, nil, nil)
		if want := path + ":2: " + c.want; err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", c.line, err, want)
		}
		out, err := run("config", "check", path)
		if want := "gearloop: " + path + ":2: " + c.want + "\n"; out != want || !errors.As(err, new(usageError)) ||
			!strings.Contains(err.Error(), `:3: unknown option "nosuch"`) {
			t.Errorf("config check, %s: %q, then %v", c.line, out, err)
		}
	}
	path := confFile(t, "port = 1\nlisten = :1\nlisten = :2\nport = 2\n")
	if _, err := withFile(t, path, nil, nil); err == nil || err.Error() != path+":4: port is set already, at "+path+":1: remove one of them" {
		t.Errorf("twice: %v", err)
	}
	if _, err := withFile(t, "/nosuch/file", nil, nil); err == nil || !strings.HasPrefix(err.Error(), "could not open configuration file: ") {
		t.Errorf("no file: %v", err)
	}
}

// Options that contradict each other, and mistakes in files that they name, are reported as well.
func TestConfigCheck(t *testing.T) {
	for text, part := range map[string]string{
		"sync = none":                                         "--sync has a meaning only with --data-dir",
		"web = :4780":                                         "add --web-tokens FILE",
		"ssl\nssl-certificate = /nosuch.pem":                  "/nosuch.pem",
		"web = :4780\nweb-tokens = /nosuch":                   "--web-tokens: ",
		"acl = /nosuch":                                       "--acl: ",
		"user = no-such-user":                                 `--user: "no-such-user" is unknown`,
		"listen = unix:/nosuch/dir/s":                         "--listen /nosuch/dir/s: its directory does not exist",
		"listen = unix:/etc/passwd":                           "--listen /etc/passwd: there is something that is not a socket",
		"admin-socket = /nosuch/s":                            "--admin-socket /nosuch/s: its directory does not exist",
		"admin-socket = /etc/passwd/s":                        "--admin-socket /etc/passwd/s: its directory is a file",
		"admin-socket = /" + strings.Repeat("x", 200):         "at most 107",
		"log-file = /nosuch/log":                              "--log-file /nosuch/log: its directory does not exist",
		"log-file = /etc":                                     "--log-file /etc: it is a directory",
		"pidfile = /nosuch/pid":                               "--pidfile /nosuch/pid: its directory does not exist",
		"data-dir = /etc/passwd":                              "--data-dir /etc/passwd: it is not a directory",
		"data-dir = /etc/passwd/a":                            "--data-dir /etc/passwd/a: its directory is a file",
		"dialect = c\nsync = none":                            "--sync has a meaning only with --data-dir",
		"dialect = c\nqueue-type = sqlite3":                   ":2: --queue-type: ",
		"dialect = c\nport 81":                                `:2: unexpected "port 81"`,
		"dialect = c\nport = abc\nverbose = NOTICE":           `:2: --port: "abc"`,
		"dialect = c\nssl = true\nssl-certificate = /x/y.pem": "/x/y.pem",
	} {
		if out, err := run("config", "check", confFile(t, text)); out != "" || !errors.As(err, new(usageError)) || !strings.Contains(err.Error(), part) {
			t.Errorf("%q: %q, %v", text, out, err)
		}
	}
	list := filepath.Join(t.TempDir(), "acl")
	if err := os.WriteFile(list, []byte("[a]\nnetwork = 10.0.0.0/8\nsubmitt = f\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tokens := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(tokens, []byte("anna king sha256:00\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// All mistakes of the files are told at once.
	out, err := run("config", "check", confFile(t, "acl = "+list+"\nweb = :1\nweb-tokens = "+tokens+"\nuser = no-such-user\n"))
	if !errors.As(err, new(usageError)) || !strings.Contains(out, "--web-tokens: "+tokens) || !strings.Contains(out, "--acl: "+list) ||
		!strings.Contains(err.Error(), "no-such-user") {
		t.Errorf("three mistakes: %q, %v", out, err)
	}
	// Directories that systemd makes need not be there.
	for _, text := range []string{"admin-socket = /run/nosuch/s", "log-file = /var/log/nosuch/log"} {
		if out, err := run("config", "check", confFile(t, text)); err != nil || !strings.Contains(out, "can be used\n") ||
			!strings.Contains(out, "the service manager has to make it") {
			t.Errorf("%s: %q, %v", text, out, err)
		}
	}
	for _, text := range []string{"data-dir = " + filepath.Join(t.TempDir(), "a/b"), "", "port = 1\nweb = 127.0.0.1:1", "dialect = c\nthreads = 3\njob-retries = 1\n", "dialect = perl"} {
		path := confFile(t, text)
		if out, err := run("config", "check", path); err != nil || out != path+" can be used\n" {
			t.Errorf("%q: %q, %v", text, out, err)
		}
	}
	for _, args := range [][]string{{"config", "check"}, {"config", "check", ""}, {"config", "check", "a", "b"}, {"config", "nosuch"}, {"config", "print", "--nosuch"}, {"config", "print", "x"}} {
		if out, err := run(args...); out != "" || !errors.As(err, new(usageError)) {
			t.Errorf("%q: %q, %v", args, out, err)
		}
	}
}

// The output says where each value comes from. It is a configuration file with the same meaning.
func TestConfigPrint(t *testing.T) {
	path := confFile(t, "listen = 127.0.0.1:1\nlisten = unix:/x\nlog-file = \" a # b\"\nssl = no\nmax-packet = 1M\n")
	t.Setenv("GEARLOOP_MAX_PACKET", "2M")
	t.Setenv("GEARLOOP_WEB", "127.0.0.1:2,127.0.0.1:3")
	args := []string{"--config-file", path, "--accept", "7"}
	text, err := run(append([]string{"config", "print"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for line := range strings.Lines(text) {
		got[strings.Join(strings.Fields(line), " ")] = true
	}
	for _, want := range []string{
		"listen = 127.0.0.1:1 # " + path + ":1", "listen = unix:/x # " + path + ":2", `log-file = " a # b" # ` + path + ":3",
		"ssl = false # " + path + ":4", "max-packet = 2M # environment variable GEARLOOP_MAX_PACKET",
		"web = 127.0.0.1:2 # environment variable GEARLOOP_WEB", "web = 127.0.0.1:3 # environment variable GEARLOOP_WEB",
		"accept = 7 # the command line", "#port = 4730 # default", "#data-dir = # default",
	} {
		if !got[want] {
			t.Errorf("no line %q in\n%s", want, text)
		}
	}
	shown := func(args ...string) (all map[string]string) {
		t.Helper()
		text, err := run(append([]string{"config", "print", "--json"}, args...)...)
		var options []api.Option
		if err != nil || json.Unmarshal([]byte(text), &options) != nil {
			t.Fatalf("%v: %s", err, text)
		}
		all = map[string]string{}
		for _, o := range options {
			all[o.Name] = o.Value
		}
		delete(all, "config-file")
		return all
	}
	before := shown(args...)
	os.Unsetenv("GEARLOOP_MAX_PACKET")
	os.Unsetenv("GEARLOOP_WEB")
	after := shown("--config-file", confFile(t, text))
	for name, value := range before {
		if after[name] != value {
			t.Errorf("%s is %q when read again, was %q", name, after[name], value)
		}
	}
	text, err = run("config", "print", "--config-file", confFile(t, "dialect = c\nthreads = 3\n"))
	if err != nil || !strings.Contains(text, "\nthreads = 3 ") || strings.Contains(text, "\nloops") || !strings.Contains(text, "\ndialect = c ") {
		t.Errorf("in the dialect of C: %v\n%s", err, text)
	}
}

// The password of the database is shown nowhere but in the text of config print, which has to be a configuration file.
func TestPasswordIsNotShown(t *testing.T) {
	for _, url := range []string{
		"postgres://u:hidden@h1:1,h2:2/d?sslmode=disable", "postgres://u@h1,h2/d?password=hidden&sslmode=disable",
		"postgresql://u:hidden@h/d?sslpassword=hidden&sslmode=disable",
	} {
		o, _, err := optionsFor([]string{"--store", url}, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		shown := o.storeOption()
		for _, option := range o.shownOptions() {
			shown += "\n" + option.Name + " " + option.Value
		}
		if strings.Contains(shown, "hidden") || !strings.Contains(shown, "sslmode=disable") || strings.Count(shown, "@h") != 2 {
			t.Errorf("of %s is shown:\n%s", url, shown)
		}
	}
}

// A file may choose the dialect, unless the command line or a variable chooses one.
func TestDialectInFile(t *testing.T) {
	inC, inPerl := confFile(t, "dialect = c\n"), confFile(t, "--dialect=perl\n")
	for _, c := range []struct {
		variable, file, name, args string
		want                       bool
	}{
		{"", "", "gearloop", "--config-file " + inC, true},
		{"", "", "gearloop", "--config-file=" + inC, true},
		{"", inC, "gearloop", "", true},
		{"", inC, "gearloop", "--config-file " + inPerl, false},
		{"", "", "gearloop", "--config-file " + inPerl, false},
		{"perl", "", "gearloop", "--config-file " + inC, false},
		{"", "", "gearloop", "--dialect perl --config-file " + inC, false},
		{"", "", "gearloop", "--config-file /nosuch", false},
		{"", "", "gearmand", "--config-file " + inPerl, true}, // where it is refused
	} {
		t.Setenv("GEARLOOP_DIALECT", c.variable)
		t.Setenv("GEARLOOP_CONFIG_FILE", c.file)
		if c.variable == "" {
			os.Unsetenv("GEARLOOP_DIALECT")
		}
		if c.file == "" {
			os.Unsetenv("GEARLOOP_CONFIG_FILE")
		}
		if got := speaksC(c.name, strings.Fields(c.args)); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// What would change at a restart is exactly what the file decides.
func TestChangedInFile(t *testing.T) {
	const before = "listen = :1\nlisten = :2\nport = 5\nmax-packet = 1M\naccept = 5\n"
	for after, want := range map[string]string{
		before: "",
		"# \n\nport = 5\nlisten = :1\nlisten = :2\nmax-packet = 1024K\naccept = 5\n":   "",
		"listen = :1\nlisten = :2\nlisten = :3\nport = 5\nmax-packet = 1M\naccept = 5": "listen",
		"listen = :1\nlisten = :2\nport = 6\nloops = 2\naccept = 6\n":                  "loops,max-packet,port",
		before + "log-level = debug\nweb = 127.0.0.1:1\n":                              "web", // the level is a flag
		"": "listen,max-packet,port",
	} {
		path := confFile(t, before)
		o, err := withFile(t, path, []string{"--log-level=warn", "--accept=9"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(after), 0o600); err != nil {
			t.Fatal(err)
		}
		now, err := readAlone(path, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if got := o.asRead.changed(setIn(now.parsed, path)); !slices.Equal(got, strings.FieldsFunc(want, func(r rune) bool { return r == ',' })) {
			t.Errorf("%q: %q, want %s", after, got, want)
		}
	}
}

// A flag that may be repeated returns its values one by one, so that they can be written to a file.
func TestRepeatableFlagsHaveValues(t *testing.T) {
	_, flags := newFlags()
	o := defaults()
	o.forC()
	inC, _ := o.flagsC()
	for _, f := range []*pflag.FlagSet{flags, inC} {
		f.VisitAll(func(f *pflag.Flag) {
			_, own := f.Value.(interface{ values() []string })
			_, slice := f.Value.(pflag.SliceValue)
			if f.Value.Type() == repeatable && !own && !slice {
				t.Errorf("--%s can be repeated and has no values()", f.Name)
			}
		})
	}
}

// A configuration file that can be read only once, such as the pipe of <(…), is read whole.
func TestConfigFromPipe(t *testing.T) {
	for text, want := range map[string]string{
		"port = 1\nnosuch\n":          `:2: unknown option "nosuch"`,
		"dialect = c\nport = abc\n":   `:2: --port: "abc"`,
		"port = 1\nacl = /nosuch\n\n": "--acl: ",
	} {
		out, in, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.WriteString(text); err != nil {
			t.Fatal(err)
		}
		in.Close()
		path := fmt.Sprintf("/proc/self/fd/%d", out.Fd())
		streams.texts = nil // another test's pipe may have had the number
		if _, err := run("config", "check", path); !errors.As(err, new(usageError)) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
		out.Close()
	}
}
