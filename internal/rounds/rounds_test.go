package rounds_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"gearloop/internal/load"
	"gearloop/internal/rounds"
	"gearloop/test/await"
	"gearloop/test/peers"
)

func plan(jobs int, servers ...rounds.Server) rounds.Plan {
	return rounds.Plan{
		Load:    load.Config{Function: "f", Functions: 1, Clients: 2, Depth: 2, Workers: 1, Payload: 64},
		Span:    load.Span{Jobs: jobs},
		Servers: servers, Rounds: 3,
	}
}

// Two servers have three turns each. A third does not exist; it is reported and does not disturb the others.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), await.Limit)
	defer cancel()
	a, b := peers.Start(t, peers.Gearloop), peers.Start(t, peers.Gearloop)
	const jobs = 30
	p := plan(jobs, rounds.Server{Name: "a", Addr: a.Addr, PID: a.PID}, rounds.Server{Name: "gone", Addr: "unix:" + t.TempDir() + "/none"},
		rounds.Server{Name: "b", Addr: b.Addr})
	var progress strings.Builder
	p.Progress = &progress
	r, err := rounds.Run(ctx, p)
	if err == nil || !strings.HasPrefix(err.Error(), "gone: ") {
		t.Errorf("error is %v", err)
	}
	for i, turns := range []int{3, 0, 3} {
		o := r.Servers[i]
		if len(o.Rounds) != turns || o.Total.Jobs != int64(turns*jobs) || o.Times.TotalCount() != int64(turns*jobs) {
			t.Errorf("%s: %d rounds, %d jobs, %d times", o.Server.Name, len(o.Rounds), o.Total.Jobs, o.Times.TotalCount())
		}
	}
	if o := r.Servers[0]; o.Total.P50 <= 0 || o.Total.P50 > o.Total.Max || o.Total.Server <= 0 || o.Total.Resident <= 0 {
		t.Errorf("%+v", o.Total)
	}
	if !strings.Contains(progress.String(), "round 3 of 3, b: ") {
		t.Errorf("progress is %q", progress.String())
	}
	var text, object strings.Builder
	r.WriteText(&text)
	// A line below the table may say that the generator was busy all the time, as happens on a slow machine.
	if lines := strings.Split(text.String(), "\n"); len(lines) < 5 || !strings.Contains(lines[1], "server CPU/job") ||
		!strings.HasPrefix(strings.TrimSpace(lines[2]), "a ") || !strings.HasPrefix(strings.TrimSpace(lines[3]), "b ") {
		t.Errorf("text is\n%s", &text)
	} else if figures := strings.Fields(lines[3]); slices.Contains(figures, "0.00") ||
		len(slices.DeleteFunc(figures, func(f string) bool { return f != "-" })) != 5 {
		t.Errorf("figures of a process that is not known are shown:\n%s", &text)
	}
	if err := r.WriteJSON(&object); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Servers []struct {
			Name, Error string
			Total       *struct{ Jobs int }
			Ratio       *struct{ P50 float64 }
			Rounds      []any
		}
	}
	if err := json.Unmarshal([]byte(object.String()), &got); err != nil {
		t.Fatal(err)
	}
	if s := got.Servers; len(s) != 3 || s[0].Ratio != nil || s[1].Error == "" || s[1].Total != nil || len(s[1].Rounds) != 0 ||
		s[2].Total.Jobs != 3*jobs || s[2].Ratio.P50 <= 0 || len(s[2].Rounds) != 3 {
		t.Errorf("JSON is %s", &object)
	}
}

// A plan that is interrupted has the results so far. An impossible plan is rejected.
func TestRunEndsEarly(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r, err := rounds.Run(ctx, plan(1, rounds.Server{Name: "a", Addr: "127.0.0.1:1"}))
	if err != nil || !r.Interrupted || len(r.Servers[0].Rounds) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	var text strings.Builder
	if r.WriteText(&text); text.Len() > 0 {
		t.Errorf("without results there is %q", text.String())
	}
	bad := plan(1)
	bad.Load.Payload = 1
	if _, err := rounds.Run(context.Background(), bad); err == nil {
		t.Error("a payload of one byte is taken")
	}
}

func TestFigures(t *testing.T) {
	p := load.Part{Jobs: 200, Elapsed: 2 * time.Second, Server: 4 * time.Millisecond, Switches: 50}
	if got := rounds.PerSecond(p); got != 100 {
		t.Errorf("%v jobs per second", got)
	}
	if us, n := rounds.PerJob(p.Server, p), rounds.PerJob(p.Switches, p); us != 20 || n != 0.25 {
		t.Errorf("%v µs and %v switches per job", us, n)
	}
	if rounds.PerSecond(load.Part{}) != 0 || rounds.PerJob(p.Server, load.Part{}) != 0 {
		t.Error("nothing is something")
	}
	r := rounds.Round{Part: load.Part{Jobs: 10, Before: 1000, Resident: 3000}, Growth: load.Growth{Before: 500, Connected: 1500, Connections: 4}}
	if q, s := r.BytesPerQueuedJob(), r.BytesPerSleeper(); q != 200 || s != 250 {
		t.Errorf("%v bytes per queued job, %v per sleeper", q, s)
	}
	if (&rounds.Round{}).BytesPerSleeper() != 0 {
		t.Error("no sleeper takes memory")
	}
	cfg := load.Config{Mode: load.Foreground, Clients: 1, Depth: 4, Workers: 2, Functions: 3, Abilities: 1, Sleepers: 1, Idle: 9, Payload: 64, Result: 8}
	const want = "foreground: 1 client × 4 in flight, 2 workers, 3 functions (1 per worker), 1 sleeper, 9 idle, arguments of 64 bytes, results of 8"
	if got := rounds.Describe(cfg); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
