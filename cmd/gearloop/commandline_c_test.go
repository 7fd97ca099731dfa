package main

import (
	"strings"
	"testing"
)

// flagsForTest returns the flags of a server in the dialect of the C server, with its defaults.
func flagsForTest() (*options, func(guess bool, line ...string) (string, string, error)) {
	o := defaults()
	o.forC()
	o.defaultsOfC()
	flags, _ := o.flagsC()
	return o, func(guess bool, line ...string) (string, string, error) {
		options, rest, err := splitLine(flags, tokensOf(line), guess)
		var all, words []string
		for _, g := range options {
			all = append(all, g.flag.Name+"="+g.value)
		}
		for _, w := range rest {
			words = append(words, w.text)
		}
		return strings.Join(all, " "), strings.Join(words, " "), err
	}
}

// The grammar of the C server's command line. The quoted messages come from the C server.
func TestSplitLine(t *testing.T) {
	for _, c := range []struct{ line, options, words string }{
		{"", "", ""},
		{"--port 1", "port=1", ""},
		{"--port=1", "port=1", ""},
		{"-p 1", "port=1", ""},
		{"-p1", "port=1", ""},
		{"-p=1", "port==1", ""},
		{"--port -1", "port=-1", ""},
		{"--port=a=b", "port=a=b", ""},
		{"-d", "daemon=", ""},
		{"-dR", "daemon= round-robin=", ""},
		{"-dRp1", "daemon= round-robin= port=1", ""},
		{"-dRp 1 -w 2", "daemon= round-robin= port=1 worker-wakeup=2", ""},
		{"a -d b", "daemon=", "a b"},
		{"-d -- -p 1", "daemon=", "-p 1"},
		{"- @x", "", "- @x"},
		{"-L a -L b", "listen=a listen=b", ""},
		{"-L a --listen=b", "listen=a listen=b", ""},
		// An option takes whatever follows as its value, except a short option.
		{"--log-file --verbose INFO", "log-file=--verbose", "INFO"},
		{"-l --verbose=INFO", "log-file=--verbose=INFO", ""},
		{"-l -Pfoo", "log-file=-Pfoo", ""},
		{"-l -1", "log-file=-1", ""},
		{"-l --", "log-file=--", ""},
		{"--max-packet 1M --daemonize", "max-packet=1M daemonize=", ""},
	} {
		_, split := flagsForTest()
		options, words, err := split(false, strings.Fields(c.line)...)
		if options != c.options || words != c.words || err != nil {
			t.Errorf("%s: %q and %q, %v; want %q and %q", c.line, options, words, err, c.options, c.words)
		}
	}
	for line, want := range map[string]string{
		"--nosuch":         "unrecognised option '--nosuch'",
		"--nosuch=1":       "unrecognised option '--nosuch=1'",
		"--Port 1":         "unrecognised option '--Port' (did you mean --port?)",
		"--verb INFO":      "unrecognised option '--verb' (did you mean --verbose?)",
		"--=x":             "unrecognised option '--=x'",
		"-Z":               "unrecognised option '-Z'",
		"-v":               "unrecognised option '-v'",
		"-dZ":              "unrecognised option '-dZ'",
		"-1":               "unrecognised option '-1'",
		"-\xff":            "unrecognised option '-\xff'",
		"--port":           "the required argument for option '--port' is missing",
		"-p":               "the required argument for option '--port' is missing",
		"-Rp":              "the required argument for option '--port' is missing",
		"-l -P x":          "the required argument for option '--log-file' is missing",
		"--pid-file -p 1":  "the required argument for option '--pid-file' is missing",
		"--port=":          "the argument for option '--port' should follow immediately after the equal sign",
		"--daemon=":        "option '--daemon' does not take any arguments",
		"--exceptions=1":   "option '--exceptions' does not take any arguments",
		"--help=x":         "option '--help' does not take any arguments",
		"-p 1 --port 2":    "option '--port' cannot be specified more than once",
		"-dd":              "option '--daemon' cannot be specified more than once",
		"-d -- x -p 1 -d":  "",
		"-d -R -d":         "option '--daemon' cannot be specified more than once",
		"--verbose A -p 1": "",
	} {
		_, split := flagsForTest()
		_, _, err := split(false, strings.Fields(line)...)
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%s: %v; want %q", line, err, want)
		}
	}
}

// A configuration file may abbreviate the names of options.
func TestGuessedNames(t *testing.T) {
	_, split := flagsForTest()
	for line, want := range map[string]string{
		"--verb INFO": "verbose=INFO", "--port 1": "port=1", "--exc": "exceptions=", "--keepalive": "keepalive=",
		"--keepalive-c=1": "keepalive-count=1",
	} {
		if got, _, err := split(true, strings.Fields(line)...); got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", line, got, err, want)
		}
	}
	for line, want := range map[string]string{
		"--keepalive-i 5": "option '--keepalive-i' is ambiguous and matches '--keepalive-idle' and '--keepalive-interval'",
		"--x 5":           "unrecognised option '--x'",
	} {
		if _, _, err := split(true, strings.Fields(line)...); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v; want %q", line, err, want)
		}
	}
}

// Numbers are read as the C server reads them: in decimal, and a negative one counts down from the top if the
// type is unsigned.
func TestIntegers(t *testing.T) {
	for text, want := range map[string]uint32{
		"0": 0, "007": 7, "+3": 3, "4294967295": 1<<32 - 1, "-1": 1<<32 - 1, "-4294967295": 1,
	} {
		if n, err := parseInteger[uint32](text); n != want || err != nil {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	}
	for text, want := range map[string]int32{"0": 0, "-1": -1, "2147483647": 1<<31 - 1, "-2147483647": -1<<31 + 1} {
		if n, err := parseInteger[int32](text); n != want || err != nil {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	}
	if n, err := parseInteger[uint64]("-1"); n != 1<<64-1 || err != nil {
		t.Errorf("all descriptors: %d, %v", n, err)
	}
	for _, text := range []string{"", "x", "1x", " 1", "1 ", "0x1", "1.0", "1e3", "1_0", "+-1", "--1", "4294967296", "-4294967296"} {
		if n, err := parseInteger[uint32](text); err == nil {
			t.Errorf("%q is taken as %d", text, n)
		}
	}
	if n, err := parseInteger[int32]("2147483648"); err == nil {
		t.Errorf("2147483648 is taken as %d", n)
	}
}
