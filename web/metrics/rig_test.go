package metrics

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"gearloop/api"
	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/httphost"
	"gearloop/internal/payload"
	"gearloop/internal/view"
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
	handle  string // of the last job that was handed out
}

func newRig(t testing.TB, bounds sched.MetricsConfig) *rig { return newSteppedRig(t, bounds, nil) }

// newSteppedRig is newRig with a function that is called whenever the scheduler has released a lock in a
// walk.
func newSteppedRig(t testing.TB, bounds sched.MetricsConfig, step func()) *rig {
	r := &rig{TB: t, now: time.Now()}
	r.sched = sched.New(sched.Config{
		Dialect: dialect.Perl, HandlePrefix: "H:t", Start: r.now, WakeupDelay: -1, Metrics: &bounds, Step: step,
	})
	r.metrics = New(Config{
		Source: view.New(view.Config{Sched: r.sched, Started: r.now}), Log: slog.New(slog.DiscardHandler), Version: "1.2.3", ClientVersion: "1.1.0",
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

// get returns an answer, which must be a success.
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

// parsed returns the families of a text, which must be valid for Prometheus.
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

// busy makes events of every kind happen.
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
