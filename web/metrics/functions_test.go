package metrics

import (
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"gearloop/codec"
	"gearloop/sched"
)

// Functions beyond the bound are summed, whatever their names are. No counter decreases when functions come
// and go.
func TestOthers(t *testing.T) {
	r := newRig(t, sched.MetricsConfig{Functions: 2, Histograms: 1})
	c := r.connect()
	last := map[string]float64{}
	for round := range 5 {
		for i := range 6 {
			name := fmt.Sprint("f", i)
			if i == 1 {
				name = other // takes a place, and is part of the sum
			}
			w := r.connect()
			r.do(w, codec.CanDo, name)
			r.do(c, codec.SubmitJobBg, name, "", "x")
			r.do(w, codec.GrabJob)
			if i != 5 || round < 4 { // the last one stays
				r.do(w, codec.WorkComplete, r.handle, "")
				r.sched.Disconnect(w, r.now, &r.fx)
				r.fx.Reset()
			}
		}
		got := parsed(t, r.get("/metrics"))
		for _, f := range []string{"gearloop_jobs_submitted_total", "gearloop_jobs_ended_total", "gearloop_jobs_handed_out_total"} {
			for labels, v := range values(got[f]) {
				if v < last[f+labels] {
					t.Errorf("round %d: %s{%s} goes back from %v to %v", round, f, labels, last[f+labels], v)
				}
				last[f+labels] = v
			}
		}
		want := map[string]float64{"function=f0": float64(round + 1), "function=" + other: float64(5 * (round + 1))}
		if v := values(got["gearloop_jobs_handed_out_total"]); !maps.Equal(v, want) {
			t.Errorf("round %d: %v, want %v", round, v, want)
		}
		if v := values(got["gearloop_function_run_seconds"]); len(v) != 1 {
			t.Errorf("histograms of %v", v)
		}
	}
	got := parsed(t, r.get("/metrics"))
	if v := values(got["gearloop_metrics_functions_hidden"])[""]; v != 1 {
		t.Errorf("%v functions are hidden", v)
	}
	if v := values(got["gearman_jobs_running"]); !maps.Equal(v, map[string]float64{"function=" + other: 1}) {
		t.Errorf("running: %v", v)
	}
}

// A name may hold any byte. The text remains valid, and no two names share a series.
func TestHostileNames(t *testing.T) {
	r := newRig(t, sched.MetricsConfig{Functions: 100})
	c := r.connect()
	names := []string{
		`a"} 1 gearman_up{x="`, "<script>", `back\slash`, `\xff`, "\xff", `\\xff`, "\xe4\xb8", "中文", "x\r", "\x01", "  ",
		"{}", strings.Repeat("n", 512), "\u202egnp.exe", `\`, `\x`, `\x5c`,
	}
	for _, name := range names {
		r.do(c, codec.SubmitJobBg, name, "", "x")
	}
	got := values(parsed(t, r.get("/metrics"))["gearman_jobs"])
	if len(got) != len(names) {
		t.Errorf("%d functions, want %d: %q", len(got), len(names), slices.Sorted(maps.Keys(got)))
	}
	for _, name := range []string{"<script>", "中文", `back\slash`, names[0]} {
		if got["function="+name] != 1 {
			t.Errorf("%q is not there as it is", name)
		}
	}
}

// A scrape examines no more functions under one lock than a step of a walk does, and goes through them no
// more often than necessary, however many there are.
func TestScrapeIsMadeInSteps(t *testing.T) {
	const functions, own, perStep = 100_000, 1000, 128
	steps := 0
	r := newSteppedRig(t, sched.MetricsConfig{Functions: own, Histograms: 100}, func() { steps++ })
	c := r.connect()
	for i := range functions {
		r.do(c, codec.SubmitJobBg, fmt.Sprint("function-", i), "", "x")
	}
	for range 300 {
		w := r.connect()
		for i := range 100 {
			r.do(w, codec.CanDo, fmt.Sprint("function-", i))
		}
		r.do(w, codec.GrabJob)
	}
	steps = 0
	text := r.get("/metrics")
	// Shards are locked once for the counters (64 locks) and once more for each sum. In addition there are
	// the steps of functions and of connections.
	least := functions/perStep + 64
	if steps < least || steps > 3*least {
		t.Errorf("a scrape lets go of locks %d times, which should be at least %d and not many more", steps, least)
	}
	if lines := strings.Count(text, "\n"); lines > 35_000 || !strings.Contains(text, "gearloop_metrics_functions_hidden 99000\n") {
		t.Errorf("%d lines", lines)
	}
	steps = 0
	r.get("/metrics/functions?match=function-1*&family=jobs")
	if least := functions / perStep; steps < least || steps > 3*least {
		t.Errorf("a slice lets go of locks %d times, which should be at least %d and not many more", steps, least)
	}
}

// Any part of the functions can be scraped, in the requested families.
func TestSlices(t *testing.T) {
	r := newRig(t, sched.MetricsConfig{})
	c := r.connect()
	for i := range 300 {
		r.do(c, codec.SubmitJobLowBg, fmt.Sprintf("tenant%03d/resize", i), "", "x")
	}
	if err := r.sched.PauseFunction("tenant007/resize", sched.Setting{By: "ann"}, r.now, &r.fx); err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string][2]int{ // families and samples
		"/metrics/functions":                                               {len(functionFamilies) - 1, -1}, // none is closed
		"/metrics/functions?match=tenant0*":                                {len(functionFamilies) - 1, -1},
		"/metrics/functions?family=paused,closed,sleeping,busy":            {3, 1 + 2*300},
		"/metrics/functions?match=tenant0*&family=waiting,age":             {2, 100 * 4},
		"/metrics/functions?match=*/resize&family=jobs":                    {1, 300},
		"/metrics/functions?match=tenant007/resize&family=age&family=jobs": {2, 2},
		"/metrics/functions?match=none&family=jobs":                        {0, 0},
	} {
		families := parsed(t, r.get(url))
		n := 0
		for _, f := range families {
			n += len(f.GetMetric())
		}
		if len(families) != want[0] || want[1] >= 0 && n != want[1] {
			t.Errorf("%s: %d families with %d samples, want %v", url, len(families), n, want)
		}
	}
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost/metrics/functions?family=x", nil))
	if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "it must be of jobs, running") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	z, err := gzip.NewReader(strings.NewReader(r.get("/metrics/functions?family=jobs", "Accept-Encoding", "gzip")))
	if err != nil {
		t.Fatal(err)
	}
	lines := func(text string) []string { return slices.Sorted(strings.Lines(text)) }
	if text, err := io.ReadAll(z); err != nil || !slices.Equal(lines(string(text)), lines(r.get("/metrics/functions?family=jobs"))) {
		t.Errorf("compressed it is another text: %v", err)
	}
}
