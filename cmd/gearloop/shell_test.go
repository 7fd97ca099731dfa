package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"gearloop/test/peers"
)

func TestShellMistakes(t *testing.T) {
	t.Setenv(serverVariable, "")
	for _, m := range []struct{ args, want string }{
		{"submit", "0 arguments: want the name of one function (see gearloop submit --help)"},
		{"submit f g", "2 arguments: want the name of one function (see gearloop submit --help)"},
		{"submit f --priority top", `--priority: "top" is unknown: it must be high, normal or low`},
		{"submit f -b --at soon", `--at "soon" is not a time, such as 2026-12-24T18:00:00Z, 1798135200 (seconds since 1970) or +90s`},
		{"submit f --at +90s", "--at needs --background and normal priority: the protocol has no other jobs for later"},
		{"submit f --server http://x", `server "http://x" is not host, host:port, [v6]:port, :port, tls://host:port or unix:PATH`},
		{"work", "want the names of functions, then -- and a command (see gearloop work --help)"},
		{"work f", "want the names of functions, then -- and a command (see gearloop work --help)"},
		{"work -- true", "want the names of functions, then -- and a command (see gearloop work --help)"},
		{"work f --", "want the names of functions, then -- and a command (see gearloop work --help)"},
		{"work f -c 0 -- true", "--parallel is 0: it must be from 1 to 10000"},
		{"work f --jobs -1 -- true", "--jobs is -1: it must not be negative"},
		{"work f -- no/such/command", `the command "no/such/command" can't be run: stat no/such/command: no such file or directory`},
	} {
		_, err := run(strings.Fields(m.args)...)
		if err == nil || err.Error() != m.want || !errors.As(err, new(usageError)) {
			t.Errorf("%s: %T %v\n\twant %s", m.args, err, err, m.want)
		}
	}
}

// TestShell submits a job and has it done.
func TestShell(t *testing.T) {
	t.Setenv(serverVariable, peers.Start(t, peers.Gearloop).Addr)
	handle, err := run("submit", "--background", "--unique", "u", "f")
	if err != nil || !strings.HasPrefix(handle, "H:") {
		t.Fatalf("%q, %v", handle, err)
	}
	if out, err := run("work", "--jobs", "1", "--log-level", "error", "f", "--", "cat"); err != nil || out != "" {
		t.Errorf("%q, %v", out, err)
	}
	if out, err := run("submit", "--timeout", "1", "f"); err == nil || out != "" || !strings.Contains(err.Error(), "it goes on") {
		t.Errorf("a job that nobody does: %q, %v", out, err)
	}
}

func TestParseAt(t *testing.T) {
	now := time.Unix(1e9, 0)
	for text, want := range map[string]int64{"+90s": 1e9 + 90, "+5": 1e9 + 5, "17": 17, "2001-09-09T01:46:41Z": 1e9 + 1} {
		if got, err := parseAt(text, now); err != nil || got.Unix() != want {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "+", "tomorrow", "+-5", "2001-09-09"} {
		if got, err := parseAt(bad, now); err == nil {
			t.Errorf("%q is %v", bad, got)
		}
	}
}

// TestMonitorCommands look at a server by text commands.
func TestMonitorCommands(t *testing.T) {
	t.Setenv(socketVariable, "")
	t.Setenv(serverVariable, peers.Start(t, peers.Gearloop).Addr)
	for range 2 {
		if _, err := run("submit", "--background", "mail.send"); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ args, want string }{
		{"status --no-headers", "mail.send  2  0  0  no workers\n"},
		{"status none --no-headers", ""},
		{"status none mail.* mail.send --no-headers --sort waiting", "mail.send  2  0  0  no workers\n"},
		{"status --json mail.*", `{"name":"mail.send","running":0,"total":2,"waiting":2,"workers":0}` + "\n"},
		{"workers --no-headers", ""},
		{"jobs --no-headers -n 1", "mail.send  waiting  -  0\n"},
		{"check", "GEARMAN OK - 1 function, 2 jobs waiting, 0 running | 'mail.send_waiting'=2;;;0 'mail.send_running'=0 'mail.send_worker'=0\n"},
	} {
		if out, err := run(strings.Fields(c.args)...); err != nil || !strings.HasPrefix(out, c.want) || c.want == "" && out != "" {
			t.Errorf("%s: %q, %v", c.args, out, err)
		}
	}
	var status exitStatus
	if _, err := run("check", "--workers-crit", "1"); !errors.As(err, &status) || status != 2 {
		t.Errorf("check without workers: %v", err)
	}
	for _, bad := range []string{"check --waiting-warn x", "check --format x", "check --server a --server b"} {
		if _, err := run(strings.Fields(bad)...); !errors.As(err, new(checkUnknown)) {
			t.Errorf("%s: %T %v", bad, err, err)
		}
	}
	for _, bad := range []string{"status --sort size", "top --interval 0 --batch", "jobs --limit 0", "jobs --older-than 1h", "jobs --contains x", "status --server ftp://x", "status --admin-socket /x --server y"} {
		if _, err := run(strings.Fields(bad)...); !errors.As(err, new(usageError)) {
			t.Errorf("%s: %T %v", bad, err, err)
		}
	}
}
