package monitor

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"gearloop/api"
	"gearloop/codec"
	"gearloop/internal/client"
	"gearloop/test/await"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// TestText reads from every kind of server.
func TestText(t *testing.T) {
	ctx := context.Background()
	for _, kind := range []peers.Kind{peers.Gearloop, peers.Perl, peers.C} {
		t.Run(kind.String(), func(t *testing.T) {
			server := peers.Start(t, kind)
			c, w := wire.Dial(t, server.Addr), wire.Dial(t, server.Addr)
			w.Send(codec.SetClientID, "worker-1")
			w.Send(codec.CanDo, "mail.send")
			w.Send(codec.CanDo, "mail.bulk")
			c.Submit(codec.SubmitJobBg, "mail.send", "u1", "x")
			c.Submit(codec.SubmitJobBg, "mail.send", "u2", "x")
			c.Submit(codec.SubmitJobBg, "img/large", "u3", "x")
			w.Grab()
			target, err := client.ParseTarget(server.Addr, client.TLSFiles{})
			if err != nil {
				t.Fatal(err)
			}
			s := &Text{Target: target, Limit: await.Limit}
			defer s.Close()
			for range 2 { // the second time after the connection was lost
				functions, err := s.Functions(ctx, "")
				if err != nil || len(functions) != 3 {
					t.Fatalf("%+v, %v", functions, err)
				}
				some, err := s.Functions(ctx, "mail.s*")
				if err != nil || len(some) != 1 || some[0].Total != 2 || some[0].Waiting != 1 || some[0].Running != 1 || some[0].Workers != 1 {
					t.Errorf("%+v, %v", some, err)
				}
				if slashed, err := s.Functions(ctx, "img*"); err != nil || len(slashed) != 1 {
					t.Errorf("* does not match a slash: %+v, %v", slashed, err)
				}
				workers, err := s.Connections(ctx, true)
				if err != nil || len(workers) != 1 || workers[0].ClientID != "worker-1" || workers[0].FunctionsAll != 2 {
					t.Errorf("%+v, %v", workers, err)
				}
				all, err := s.Connections(ctx, false)
				if err != nil || len(all) < 2 {
					t.Errorf("%+v, %v", all, err)
				}
				filter := api.JobFilter{Function: "mail.*", State: api.JobRunning}
				want := 1
				if kind == peers.C {
					filter, want = api.JobFilter{}, 3
				}
				jobs, more, err := s.Jobs(ctx, filter, 10)
				if err != nil || more || len(jobs) != want {
					t.Errorf("%+v, %v", jobs, err)
				}
				if _, more, err := s.Jobs(ctx, api.JobFilter{}, 1); err != nil || !more {
					t.Errorf("more %v, %v", more, err)
				}
				v, err := s.Server(ctx)
				if err != nil || v.Version == "" || v.Totals.Waiting != 2 || v.Totals.Running != 1 {
					t.Errorf("%+v, %v", v, err)
				}
				s.conn.Conn.Close()
			}
		})
	}
}

// TestUnreachable: the error names the server and the reason.
func TestUnreachable(t *testing.T) {
	s := &Text{Target: client.Target{Network: "unix", Address: "/nowhere"}, Limit: time.Minute}
	if _, err := s.Functions(context.Background(), ""); err == nil || err.Error() != "server unix:/nowhere: no such file or directory" {
		t.Errorf("%v", err)
	}
}

// fake is a source with given data.
type fake struct {
	Source
	functions []api.Function
	knows     bool
	err       error
}

func (f *fake) Functions(_ context.Context, match string) (all []api.Function, err error) {
	for _, fn := range f.functions {
		if matches(match, fn.Name) {
			all = append(all, fn)
		}
	}
	return all, f.err
}
func (f *fake) Has(Knowledge) bool { return f.knows }
func (f *fake) String() string     { return "fake" }

func TestCheck(t *testing.T) {
	never := Check{WaitingWarn: -1, WaitingCrit: -1, AgeWarn: -1, AgeCrit: -1, WorkersWarn: -1, WorkersCrit: -1}
	functions := []api.Function{
		{Name: "mail", Waiting: 10, Running: 2, Workers: 2, OldestWaiting: 90}, {Name: "img", Workers: 1},
		{Name: "a|b='c'", Waiting: 1, Workers: 0},
	}
	for name, c := range map[string]struct {
		change func(*Check)
		knows  bool
		want   Status
		text   string
	}{
		"all well":         {func(*Check) {}, false, OK, "3 functions, 11 jobs waiting, 2 running"},
		"below":            {func(c *Check) { c.WaitingWarn, c.WaitingCrit = 11, 20 }, false, OK, ""},
		"waiting":          {func(c *Check) { c.WaitingWarn, c.WaitingCrit = 10, 20 }, false, Warning, "mail: 10 jobs waiting"},
		"waiting too long": {func(c *Check) { c.WaitingWarn, c.WaitingCrit = 1, 10 }, false, Critical, "mail: 10 jobs waiting; a|b='c': 1 job waiting"},
		"old":              {func(c *Check) { c.AgeWarn, c.AgeCrit = 60, 600 }, true, Warning, "mail: the oldest job waits 1m30s"},
		"old, untold":      {func(c *Check) { c.AgeWarn = 60 }, false, Unknown, "the text protocol does not tell"},
		"no workers":       {func(c *Check) { c.WorkersCrit = 1 }, false, Critical, "a|b='c': 0 workers"},
		"one function":     {func(c *Check) { c.WorkersCrit, c.Function, c.Exists = 1, "img", true }, false, OK, "1 function, "},
		"few workers":      {func(c *Check) { c.WorkersWarn, c.Function = 2, "img" }, false, Warning, "img: 1 worker"},
		"not there":        {func(c *Check) { c.Function, c.Exists = "none*", true }, false, Critical, "no function matches none*"},
	} {
		check := never
		c.change(&check)
		r := check.Run(context.Background(), &fake{functions: functions, knows: c.knows})
		if r.Status != c.want || !strings.HasPrefix(r.Text, c.text) {
			t.Errorf("%s: %v %q, want %v %q", name, r.Status, r.Text, c.want, c.text)
		}
		line := r.Nagios(&check)
		if !strings.HasPrefix(line, "GEARMAN "+r.Status.String()+" - ") || strings.Count(line, "|") > 1 || strings.Contains(line, "\n") {
			t.Errorf("%s: %s", name, line)
		}
	}
	r := never.Run(context.Background(), &fake{err: fmt.Errorf("server x: connection refused")})
	if r.Status != Critical || r.Nagios(&never) != "GEARMAN CRITICAL - server x: connection refused" {
		t.Errorf("%+v", r)
	}
}

func TestPrintable(t *testing.T) {
	for s, want := range map[string]string{
		"mail.send": "mail.send", "größe 大": "größe 大", "a\x1b[31mb": `a\x1b[31mb`, "a\nb\tc": `a\x0ab\x09c`,
		"\xff\x00": `\xff\x00`, "\u202e": `\xe2\x80\xae`, "": "",
	} {
		if got := Printable(s); got != want {
			t.Errorf("%q is shown as %q, want %q", s, got, want)
		}
	}
}

func TestAge(t *testing.T) {
	for seconds, want := range map[float64]string{
		0: "-", -1: "-", 0.04: "0.0s", 1.25: "1.2s", 12.9: "12s", 200: "3m20s", 18600: "5h10m", 273600: "3d4h",
	} {
		if got := Age(seconds); got != want {
			t.Errorf("%v is %s, want %s", seconds, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1048220: "1,048,220"} {
		if got := Number(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

// TestScreen: the effect of keys on the screen.
func TestScreen(t *testing.T) {
	s := &fake{knows: true}
	for i := range 50 {
		s.functions = append(s.functions, api.Function{Name: fmt.Sprintf("f%02d", i), Waiting: i, Workers: 50 - i, OldestWaiting: float64(i % 7)})
	}
	s.functions = append(s.functions, api.Function{Name: "evil\x1b[2J", Waiting: 1000})
	shot := &snapshot{at: time.Unix(1e9, 0), functions: s.functions, workers: []api.Connection{{Address: "10.0.0.1:5", State: "busy", FunctionsAll: 1, Functions: []string{"f01"}}}}
	v := &screen{source: s, now: shot, before: &snapshot{at: shot.at.Add(-time.Second)}}
	shot.server.Totals.Submitted = 1234
	shot.functions[49].Submitted = 70
	shot.loops = []api.Loop{{Index: 0, Turns: 5678, LagP99: 0.0012}}
	v.before.functions = []api.Function{{Name: "f49"}}
	v.before.loops = []api.Loop{{}}
	show := func(keys ...string) string {
		for _, k := range keys {
			v.key([]byte(k))
		}
		v.now.query = v.query() // what Top sees to
		lines := v.lines(130, 20)
		if len(lines) != 20 {
			t.Errorf("%d lines", len(lines))
		}
		return strings.Join(lines, "\n")
	}
	for _, step := range []struct {
		keys          []string
		want, without string
	}{
		{nil, `evil\x1b[2J`, "f00"},
		{nil, "submitted 1,234/s", ""},
		{nil, " 70 ", ""}, // jobs of f49 were submitted in the second since
		{[]string{"s"}, "functions by oldest", ""},
		{[]string{"s", "s", "s"}, "functions by ended", ""},
		{[]string{"s", "s", "r"}, "functions by name (the other way round)", "f10"},
		{[]string{"r"}, "f00", "f49"},
		{[]string{" "}, "f20", "f00"},
		{[]string{"\x1b[A", "\x1b[5~", "\x1b[5~"}, "1 to ", ""},
		{[]string{"/", "f", "3", "x", "\x7f", "\r"}, "filter f3", "f29"},
		{[]string{"\x1b"}, "f00", "filter"},
		{[]string{"/", "q"}, "filter: q_", ""},
		{[]string{"\x1b", "p"}, "paused", ""},
		{[]string{"p", "w"}, "10.0.0.1:5", "f00"},
		{[]string{"l"}, "5,678", "f00"},
		{nil, "1.20ms", ""},
		{[]string{"?"}, "the other way round", ""},
		{[]string{"?", "\t"}, "f00", ""},
	} {
		got := show(step.keys...)
		if !strings.Contains(got, step.want) || step.without != "" && strings.Contains(got, step.without) {
			t.Errorf("after %q: no %q, or %q:\n%s", step.keys, step.want, step.without, got)
		}
	}
	s.knows = false
	if got := show("l"); !strings.Contains(got, "functions by") {
		t.Errorf("a Gearman port has no event loops to show:\n%s", got)
	}
	if v.ended {
		t.Error("it has ended")
	}
	if show("q"); !v.ended {
		t.Error("it has not ended")
	}
	for _, size := range [][2]int{{1, 1}, {10, 3}, {80, 5}} {
		for _, line := range v.lines(size[0], size[1]) {
			if n := len([]rune(strings.NewReplacer("\x1b[7m", "", "\x1b[0m", "").Replace(line))); n > size[0] {
				t.Errorf("%d letters in a line of %d: %q", n, size[0], line)
			}
		}
	}
}

func TestSplitKeys(t *testing.T) {
	for in, want := range map[string]string{
		"q": `["q"]`, "\x1b[A\x1b[5~x": `["\x1b[A" "\x1b[5~" "x"]`, "\x1b": `["\x1b"]`, "äb": `["ä" "b"]`, "\x1b[": `["\x1b" "["]`,
	} {
		if got := fmt.Sprintf("%q", splitKeys([]byte(in))); got != want {
			t.Errorf("%q is %s, want %s", in, got, want)
		}
	}
}

// TestJSON: fields that the text protocol does not have are left out.
func TestJSON(t *testing.T) {
	var b bytes.Buffer
	f := api.Function{Name: "f", Total: 3}
	if err := JSON(&b, &Text{}, &f); err != nil || b.String() != `{"name":"f","running":0,"total":3,"waiting":0,"workers":0}`+"\n" {
		t.Errorf("%s, %v", b.String(), err)
	}
	b.Reset()
	if err := JSON(&b, &API{}, &f); err != nil || !strings.Contains(b.String(), `"submitted_total":0`) {
		t.Errorf("%s, %v", b.String(), err)
	}
}

// One function, one job, one worker: no plural.
func TestOne(t *testing.T) {
	one := api.Function{Name: "f", Waiting: 1, Workers: 1}
	c := Check{WaitingWarn: 1, WaitingCrit: -1, WorkersWarn: 2, WorkersCrit: -1}
	for _, f := range c.look(&one) {
		if strings.Contains(f.Text, "1 jobs") || strings.Contains(f.Text, "1 workers") {
			t.Errorf("%q", f.Text)
		}
	}
	if got := c.wellSaid([]api.Function{one}); got != "1 function, 1 job waiting, 0 running" {
		t.Errorf("%q", got)
	}
	for n, want := range []string{"jobs", "job", "jobs"} {
		if got := Noun(n, "job"); got != want {
			t.Errorf("%d %s, want %s", n, got, want)
		}
	}
}
