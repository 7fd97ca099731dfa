package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"gearloop/internal/rounds"
	"gearloop/test/peers"
)

func TestBenchMistakes(t *testing.T) {
	for _, m := range []struct{ args, want string }{
		{"--clients 0", "--clients is 0: it must be from 1 to 1000000"},
		{"--payload 4", "--payload is 4: it must be from 8 to 1073741824"},
		{"--payload lots", `--payload: "lots" is not a size, such as 65536 or 64M`},
		{"--grab x", `--grab is "x": it must be job, uniq or all`},
		{"--rate -1", "--rate is -1: it must be from 0 to 100000000"},
		{"--background --echo", "--background and --echo exclude each other"},
		{"--jobs 5 --duration 3", "--jobs excludes --duration and --warmup"},
		{"--jobs -1", "--jobs is -1: it must not be negative"},
		{"--rounds 0", "--rounds is 0: it must be at least 1"},
		{"--duration 0", "--duration is 0s: it must be more than 0"},
		{"--progress x", `--progress is "x": it must be auto, yes or no`},
		{"--server a,b", `--server "a,b": "b" must be pid=NUMBER`},
		{"--server a --server a", "--server: there are two called a"},
		{"--server a --server b --server-pid 1", "--server-pid is for one server: for several write --server NAME=ADDRESS,pid=N"},
		{"more", `unexpected argument "more" (see gearloop bench --help)`},
	} {
		_, err := run(append([]string{"bench"}, strings.Fields(m.args)...)...)
		if err == nil || err.Error() != m.want {
			t.Errorf("%s: %v\n\twant %s", m.args, err, m.want)
		}
		if !errors.As(err, new(usageError)) {
			t.Errorf("%s: %T is no usageError: the exit status would not be 2", m.args, err)
		}
	}
}

func TestParseServer(t *testing.T) {
	for text, want := range map[string]rounds.Server{
		":4731":                 {Name: ":4731", Addr: "127.0.0.1:4731"},
		"host":                  {Name: "host", Addr: "host:4730"},
		"[::1]":                 {Name: "[::1]", Addr: "[::1]:4730"},
		"[::1]:1":               {Name: "[::1]:1", Addr: "[::1]:1"},
		"unix:/run/x":           {Name: "unix:/run/x", Addr: "unix:/run/x"},
		"old=10.0.0.1:1,pid=12": {Name: "old", Addr: "10.0.0.1:1", PID: 12},
	} {
		if got, err := parseServer(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "x=", "=y", "a:b:c", "a,pid=0", "a,pid=x"} {
		if got, err := parseServer(text); err == nil {
			t.Errorf("%q was understood: %+v", text, got)
		}
	}
}

// TestBenchCompares runs a small load against two addresses of a server and one where nobody listens.
func TestBenchCompares(t *testing.T) {
	server := peers.Start(t, peers.Gearloop)
	one := fmt.Sprintf("one=%s,pid=%d", server.Addr, server.PID)
	out, err := run("bench", "--server", one, "--server", "two="+server.Addr, "-n", "50", "--rounds", "2", "-c", "2", "-w", "2", "--json")
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Servers []struct {
			Name  string
			Total struct {
				Jobs   int
				Server float64 `json:"server_cpu_us_per_job"`
				P50    float64 `json:"p50_us"`
			}
			Ratio  *struct{}
			Rounds []struct{}
		}
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || len(report.Servers) != 2 {
		t.Fatalf("%v\n%s", err, out)
	}
	for i, s := range report.Servers {
		if s.Total.Jobs != 100 || len(s.Rounds) != 2 || s.Total.P50 <= 0 || (s.Total.Server > 0) != (i == 0) || (s.Ratio != nil) != (i == 1) {
			t.Errorf("%+v", s)
		}
	}
	out, err = run("bench", "--server", one, "--background", "-n", "50", "-c", "2")
	if err != nil || !strings.Contains(out, "drained/s") || !strings.Contains(out, "memory/queued job") {
		t.Errorf("%v\n%s", err, out)
	}
	gone := t.TempDir() + "/nobody"
	out, err = run("bench", "--server", one, "--server", "gone=unix:"+gone, "-n", "20", "--progress", "yes")
	if err == nil || errors.As(err, new(usageError)) || !strings.Contains(err.Error(), "gone: ") || !strings.Contains(out, "one") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := os.Stat(gone); err == nil {
		t.Error("there is a socket where nobody listens")
	}
}
