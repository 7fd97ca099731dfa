package metrics

import (
	"compress/gzip"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"

	"gearloop/internal/histogram"
	"gearloop/internal/view"
	"gearloop/reactor"
	"gearloop/sched"
	"gearloop/store/disk"
	"gearloop/web"
	"gearloop/web/action"
	"gearloop/web/guard"
)

// other is the label for the sum of all functions without metrics of their own.
const other = "__other__"

// Config configures the metrics.
type Config struct {
	Source        *view.Source
	Log           *slog.Logger
	Version       string // of Gearloop
	ClientVersion string // the version that clients get
	Dialect       string
	// Certificates returns when the first certificate in each file expires; nil: no certificates.
	Certificates func() map[string]time.Time

	// Actions returns how often each action was asked for, Streams how many streams of events there are,
	// Reloaded when files were read last and whether all could be. What is nil is not shown, and no requests
	// without Traffic.
	Actions  func() map[action.Done]uint64
	Streams  func() int
	Reloaded func() (at time.Time, ok bool)
	Traffic  *web.Traffic
}

// Metrics serves the metrics of a broker.
type Metrics struct {
	cfg     Config
	process *prometheus.Registry
	warned  sync.Once
	slice   chan struct{} // holds one element: one request at a time walks functions
}

// New returns the metrics of a broker.
func New(cfg Config) *Metrics {
	m := &Metrics{cfg: cfg, process: prometheus.NewRegistry(), slice: make(chan struct{}, 1)}
	m.process.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Mount adds the handlers to a mux.
func (m *Metrics) Mount(mux *http.ServeMux, g *guard.Guard) {
	mux.Handle("GET /metrics", g.Need(guard.Viewer, http.HandlerFunc(m.serve)))
	mux.Handle("GET /metrics/functions", g.Need(guard.Viewer, http.HandlerFunc(m.serveFunctions)))
}

// answer calls write with a writer for the answer, compressed if the client accepts that.
func answer(w http.ResponseWriter, r *http.Request, write func(*writer)) {
	h := w.Header()
	h.Set("Content-Type", string(expfmt.NewFormat(expfmt.TypeTextPlain)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Add("Vary", "Accept-Encoding")
	var out io.Writer = w
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed)
		defer z.Close()
		out = z
	}
	text := &writer{out: out}
	write(text)
	text.flush()
}

func (m *Metrics) serve(w http.ResponseWriter, r *http.Request) {
	// An error cannot be reported once the answer has begun.
	process, err := m.process.Gather()
	if err != nil {
		m.cfg.Log.Warn("metrics of the process", "error", err)
	}
	answer(w, r, func(w *writer) {
		m.write(w)
		w.flush()
		text := expfmt.NewEncoder(w.out, expfmt.NewFormat(expfmt.TypeTextPlain))
		for _, f := range process {
			if err := text.Encode(f); err != nil {
				return
			}
		}
	})
}

// write writes everything except the process's metrics.
func (m *Metrics) write(w *writer) {
	src := m.cfg.Source
	w.begin(up)
	w.count(1)
	w.begin(versionInfo)
	w.count(1, m.cfg.ClientVersion)
	numbers := src.Sched().Metrics()
	rows, hiddenNow := m.rows(&numbers)
	if hiddenNow > 0 {
		m.warned.Do(func() {
			m.cfg.Log.Warn("metrics: there are more functions than --metrics-functions; the rest is summed up as " + other +
				", and /metrics/functions?match= shows any of them")
		})
	}
	for _, f := range functionFamilies {
		w.begin(f.family)
		for i := range rows {
			if f.past || rows[i].shown {
				f.write(w, &rows[i])
			}
		}
	}
	w.begin(hidden)
	w.count(uint64(hiddenNow))
	for kind, f := range []family{waitTimes, runTimes, lifeTimes} {
		w.begin(f)
		w.times(&numbers.Times[kind], histogram.Jobs)
	}
	for kind, f := range []family{functionWaitTimes, functionRunTimes, functionLifeTimes} {
		w.begin(f)
		for i := range rows {
			if rows[i].times != nil {
				w.times(&rows[i].times[kind], histogram.Jobs, rows[i].label)
			}
		}
	}
	m.writeBroker(w, &numbers)
	m.writeSelf(w)
	m.writeConnections(w)
	m.writeLoops(w)
	m.writeStore(w)
	m.writeCluster(w)
}

func (m *Metrics) writeBroker(w *writer, numbers *sched.Metrics) {
	src := m.cfg.Source
	n := src.Totals()
	w.begin(functions)
	w.count(uint64(n.Functions))
	w.begin(refused)
	for i, n := range numbers.All.Refused {
		w.count(n, sched.Refusal(i).String())
	}
	w.begin(allWorkers)
	w.count(uint64(n.Workers))
	w.begin(asleep)
	w.count(uint64(n.Asleep))
	memory := src.Memory()
	w.begin(memoryLimit)
	w.count(uint64(memory.Limit))
	w.begin(memoryUsed)
	for _, part := range sortedKeys(memory.Parts) {
		w.sample(float64(memory.Parts[part]), part)
	}
	w.begin(draining)
	if server := src.Reactor(); server != nil && server.Phase() >= reactor.Draining {
		w.count(1)
	} else {
		w.count(0)
	}
	w.begin(buildInfo)
	w.count(1, m.cfg.Version, runtime.Version(), m.cfg.Dialect)
	w.begin(certificate)
	if m.cfg.Certificates != nil {
		all := m.cfg.Certificates()
		for _, file := range sortedKeys(all) {
			w.sample(float64(all[file].Unix()), file)
		}
	}
}

func (m *Metrics) writeStore(w *writer) {
	k := m.cfg.Source.Keeper()
	if k == nil {
		return
	}
	n, a := k.Stats(), k.Activity()
	one := func(f family, v float64) {
		w.begin(f)
		w.sample(v)
	}
	isUp := 1.0
	if n.Failed != nil {
		isUp = 0
	}
	one(storeUp, isUp)
	one(storeJobs, float64(n.Jobs))
	w.begin(storeBytes)
	w.sample(float64(n.LiveBytes), "live")
	w.sample(float64(n.DiskBytes), "disk")
	one(storeQueued, float64(n.Queued))
	w.begin(storeSync)
	w.times(&a.Sync, histogram.Turns)
	w.begin(storeBatch)
	w.histogram(&a.Batch, histogram.Batches, 1, nil)
	one(storeWritten, float64(a.Written))
	w.begin(storeFails)
	for op, n := range a.Failures {
		w.count(n, disk.Operation(op).String())
	}
	one(storeSegs, float64(a.Segments))
	one(storeLoad, m.cfg.Source.StoreLoad().Seconds())
	one(storeFree, float64(m.cfg.Source.StoreFree()))
}

func sortedKeys[T any](m map[string]T) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
