package metrics

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"gearloop/api"
	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/histogram"
	"gearloop/internal/httphost"
	"gearloop/internal/payload"
	"gearloop/internal/view"
	"gearloop/reactor"
	"gearloop/sched"
	"gearloop/web/guard"
)

// rig is a scheduler with its metrics.
type rig struct {
	testing.TB
	sched   *sched.Sched
	metrics *Metrics
	handler http.Handler
	now     time.Time
	fx      sched.Effects
	handle  string // of the job that was handed out last
}

func newRig(t testing.TB, bounds sched.MetricsConfig) *rig { return newSteppedRig(t, bounds, nil) }

// newSteppedRig calls step when the scheduler has let go of a lock in a walk.
func newSteppedRig(t testing.TB, bounds sched.MetricsConfig, step func()) *rig {
	r := &rig{TB: t, now: time.Now()}
	r.sched = sched.New(sched.Config{
		Dialect: dialect.Perl, HandlePrefix: "H:t", Start: r.now, WakeupDelay: -1, Metrics: &bounds, Step: step,
	})
	r.metrics = New(Config{
		Source: view.New(view.Config{Sched: r.sched, Started: r.now}), Log: slog.New(slog.DiscardHandler), Version: "1.2.3", Told: "1.1.0",
		Dialect:      "perl",
		Certificates: func() map[string]time.Time { return map[string]time.Time{"/etc/server.pem": time.Unix(2e9, 0)} },
	})
	mux := http.NewServeMux()
	g := guard.New(guard.Config{
		Names: httphost.New(nil), Anonymous: guard.Viewer,
		Refuse: func(w http.ResponseWriter, _ *http.Request, p *api.Problem) { http.Error(w, p.Detail, p.Status) },
	})
	r.metrics.Mount(mux, g)
	r.handler = g.Wrap(mux)
	return r
}

func (r *rig) connect() *sched.Peer {
	p := &sched.Peer{}
	r.sched.Connect(p)
	return p
}

func (r *rig) do(p *sched.Peer, t codec.Type, args ...string) {
	r.sched.Handle(p, t, payload.Borrow([]byte(strings.Join(args, "\x00"))), r.now, &r.fx)
	for i := range r.fx.Packets {
		packet := &r.fx.Packets[i]
		if packet.Type == codec.JobAssign {
			r.handle, _, _ = strings.Cut(string(r.fx.Args(packet)), "\x00")
		}
		packet.Body.Release()
	}
	r.fx.Reset()
}

// get returns an answer, which has to be one.
func (r *rig) get(url string, header ...string) string {
	r.Helper()
	req := httptest.NewRequest(http.MethodGet, "http://localhost"+url, nil)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, req)
	if w.Code != http.StatusOK {
		r.Fatalf("%s: %d %s", url, w.Code, w.Body)
	}
	return w.Body.String()
}

// parsed returns the families of a text, which has to be one of Prometheus.
func parsed(t testing.TB, text string) map[string]*dto.MetricFamily {
	t.Helper()
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return families
}

// values returns the samples of a family by their labels, as "a=b,c=d".
func values(f *dto.MetricFamily) map[string]float64 {
	all := map[string]float64{}
	for _, m := range f.GetMetric() {
		var labels []string
		for _, l := range m.GetLabel() {
			labels = append(labels, l.GetName()+"="+l.GetValue())
		}
		v := m.GetGauge().GetValue() + m.GetCounter().GetValue()
		if h := m.GetHistogram(); h != nil {
			v = float64(h.GetSampleCount())
		}
		all[strings.Join(labels, ",")] = v
	}
	return all
}

// busy has something of everything happen.
func (r *rig) busy() {
	c, w := r.connect(), r.connect()
	r.do(w, codec.CanDo, "resize")
	for range 3 {
		r.do(c, codec.SubmitJobBg, "resize", "", "x")
	}
	r.do(c, codec.SubmitJobHigh, "resize", "u", "x")
	r.do(c, codec.SubmitJobHigh, "resize", "u", "x")
	r.do(c, codec.SubmitJobLowBg, "mail", "", "x")
	r.do(w, codec.GrabJob)
	r.now = r.now.Add(3 * time.Millisecond)
	r.do(w, codec.WorkComplete, r.handle, "y")
	r.do(w, codec.GrabJob)
}

// What the gearman exporter has is there under the same names and types and with the same label, and says
// what its README means; and what this server adds agrees with it.
func TestExporterNames(t *testing.T) {
	r := newRig(t, sched.MetricsConfig{Functions: 10, Histograms: 10})
	r.busy()
	got := parsed(t, r.get("/metrics"))
	for name, want := range map[string]map[string]float64{
		"gearman_up":                                        {"": 1},
		"gearman_version_info":                              {"version=1.1.0": 1},
		"gearman_jobs":                                      {"function=resize": 3, "function=mail": 1},
		"gearman_jobs_running":                              {"function=resize": 1, "function=mail": 0},
		"gearman_jobs_waiting":                              {"function=resize": 2, "function=mail": 1},
		"gearman_workers":                                   {"function=resize": 1, "function=mail": 0},
		"gearloop_jobs_submitted_total":                     {"function=resize,kind=foreground": 2, "function=resize,kind=background": 3, "function=mail,kind=foreground": 0, "function=mail,kind=background": 1},
		"gearloop_jobs_coalesced_total":                     {"function=resize": 1, "function=mail": 0},
		"gearloop_jobs_handed_out_total":                    {"function=resize": 2, "function=mail": 0},
		"gearloop_job_wait_seconds":                         {"": 2},
		"gearloop_function_wait_seconds":                    {"function=resize": 2},
		"gearloop_workers":                                  {"": 1},
		"gearloop_metrics_functions_hidden":                 {"": 0},
		"gearloop_tls_certificate_expiry_timestamp_seconds": {"file=/etc/server.pem": 2e9},
	} {
		f := got[name]
		if f == nil || !maps.Equal(values(f), want) {
			t.Errorf("%s: %v, want %v", name, values(f), want)
		}
		if strings.HasPrefix(name, "gearman_") && f.GetType() != dto.MetricType_GAUGE {
			t.Errorf("%s is a %v", name, f.GetType())
		}
	}
	if n := got["gearloop_build_info"]; n == nil || got["go_goroutines"] == nil || got["process_open_fds"] == nil {
		t.Error("no metrics of the program, Go or the process")
	}
}

// promtool finds nothing wrong, with every family that there is.
func TestPromtool(t *testing.T) {
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is not there; scripts/test-deps.sh installs it")
	}
	cmd := exec.Command(tool, "check", "metrics")
	cmd.Stdin = strings.NewReader(everything(t))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// everything returns a text in which each family has samples, and the metrics of a process.
func everything(t *testing.T) string {
	r := newRig(t, sched.MetricsConfig{Functions: 1, Histograms: 1})
	r.busy()
	text := r.get("/metrics")
	have := parsed(t, text)
	var more bytes.Buffer
	w := &writer{out: &more}
	for _, f := range all {
		if have[f.name] != nil {
			continue
		}
		w.begin(f)
		labels := make([]string, len(f.labels))
		for i := range labels {
			labels[i] = "x"
		}
		if f.kind == histo {
			w.times(&histogram.Histogram{}, histogram.Turns, labels...)
		} else {
			w.count(1, labels...)
		}
	}
	w.flush()
	return text + more.String()
}

// docs/metrics.md has every metric with its type and labels, and no other.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (\\w+) \\| ([^|]*) \\| [^|]+ \\|$")
	documented := map[string]string{}
	for _, m := range line.FindAllStringSubmatch(string(page), -1) {
		labels := strings.NewReplacer("`", "", ", ", ",", "–", "").Replace(m[3])
		documented[m[1]] = m[2] + " " + strings.TrimSpace(labels)
	}
	there := map[string]string{}
	for _, f := range all {
		there[f.name] = f.kind + " " + strings.Join(f.labels, ",")
		if !strings.HasSuffix(f.help, ".") {
			t.Errorf("the help of %s is no sentence", f.name)
		}
	}
	for name, want := range there {
		if got := documented[name]; got != want {
			t.Errorf("%s is %q on the page, want %q", name, got, want)
		}
	}
	for name := range documented {
		if there[name] == "" {
			t.Errorf("%s is on the page only", name)
		}
	}
}

// Each declared family is written somewhere: by a scheduler, a server or a store.
func TestNothingIsForgotten(t *testing.T) {
	var source []byte
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if name == "families.go" || strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		source = append(source, text...)
	}
	declared, err := os.ReadFile("families.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^\t(\w+)\s+= declare\(`).FindAllSubmatch(declared, -1) {
		if !regexp.MustCompile(`\b` + string(m[1]) + `\b`).Match(source) {
			t.Errorf("%s is declared and never written", m[1])
		}
	}
}

// Functions beyond the bound are one sum, whatever their names are, and no counter goes back when functions
// come and go.
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

// A name may hold any byte: the text stays one of Prometheus, and two names are never one series.
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

// A scrape looks at no more functions with a lock held than a step of a walk does, and does not go through
// them more often than it has to, however many there are.
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
	// Shards are gone through for the counters (64 locks) and once more for each sum; then there are the steps
	// of functions and of connections.
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

// What a label's value may not hold as it is, is escaped; names with line feeds do not get as far as here.
func TestEscapes(t *testing.T) {
	if got := string(appendEscaped(nil, "a\"b\\c\nd")); got != `a\"b\\c\nd` {
		t.Error(got)
	}
}

// Any slice of functions can be had, in the families that are asked for.
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

// Reasons have a name each.
func TestReasons(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range reactor.CloseReasons() {
		seen[name] = true
	}
	if len(seen) != len(reactor.CloseReasons()) || seen[""] {
		t.Errorf("%v", seen)
	}
}

// BenchmarkBesideScrapes is a submission and a hand-out on a goroutine of their own, as on an event loop,
// while scrapes are made one after the other with 100,000 functions: how long a pair of calls took at most
// says for how long a scrape keeps a loop.
func BenchmarkBesideScrapes(b *testing.B) {
	for _, scrapes := range []bool{false, true} {
		b.Run(fmt.Sprint("scrapes=", scrapes), func(b *testing.B) {
			r := newRig(b, sched.MetricsConfig{Functions: 1000, Histograms: 100})
			c := r.connect()
			for i := range 100_000 {
				r.do(c, codec.SubmitJobBg, fmt.Sprint("function-", i), "", "x")
			}
			loop := &rig{TB: b, sched: r.sched, now: r.now}
			client, worker := loop.connect(), loop.connect()
			for i := range 64 {
				loop.do(worker, codec.CanDo, fmt.Sprint("loop-", i))
			}
			stop, ended := make(chan struct{}), make(chan struct{})
			made := 0
			go func() {
				defer close(ended)
				for scrapes {
					select {
					case <-stop:
						return
					default:
						r.get("/metrics")
						made++
					}
				}
			}()
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				began := time.Now()
				loop.do(client, codec.SubmitJobBg, fmt.Sprint("loop-", i%64), "", "x")
				loop.do(worker, codec.GrabJob)
				took = append(took, time.Since(began))
				loop.do(worker, codec.WorkComplete, loop.handle, "")
			}
			close(stop)
			<-ended
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)-1].Nanoseconds())/1e3, "µs-max")
			b.ReportMetric(float64(took[len(took)*999/1000].Nanoseconds())/1e3, "µs-p99.9")
			b.ReportMetric(float64(made), "scrapes")
		})
	}
}

// BenchmarkScrape is a scrape with as many functions as there are, with the usual bounds.
func BenchmarkScrape(b *testing.B) {
	for _, functions := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(functions), func(b *testing.B) {
			r := newRig(b, sched.MetricsConfig{Functions: 1000, Histograms: 100})
			c, w := r.connect(), r.connect()
			for i := range functions {
				name := fmt.Sprint("function-", i)
				r.do(c, codec.SubmitJobBg, name, "", "x")
				if i < 200 {
					r.do(w, codec.CanDo, name)
					r.do(c, codec.SubmitJobBg, name, "", "x")
					r.do(w, codec.GrabJob)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				text := r.get("/metrics")
				b.ReportMetric(float64(len(text)), "bytes")
				b.ReportMetric(float64(strings.Count(text, "\n")), "lines")
			}
		})
	}
}
