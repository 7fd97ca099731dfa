package metrics

import (
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"

	"gearloop/codec"
	"gearloop/internal/histogram"
	"gearloop/internal/view"
	"gearloop/reactor"
	"gearloop/sched"
	"gearloop/web"
	"gearloop/web/action"
	"gearloop/web/guard"
)

// other is the label for the sum of all functions without metrics of their own.
const other = "__other__"

// Config configures the metrics.
type Config struct {
	Source  *view.Source
	Log     *slog.Logger
	Version string // of Gearloop
	Told    string // the version that clients are told
	Dialect string
	// Certificates returns when the first certificate in each file expires; nil: no certificates.
	Certificates func() map[string]time.Time

	// Actions returns how often each action was asked for, Streams how many streams of events there are, Reloaded when files
	// were read last and whether all could be. What is nil is not shown, and no requests without Traffic.
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

// row is a function with metrics of its own, or the sum of the others.
type row struct {
	label string
	shown bool // the function is known now
	stats sched.FunctionStats
	ever  sched.Counters
	times *sched.Times
	age   time.Duration

	asleep, busy, paused, closed int
}

// add adds the current numbers of another function.
func (r *row) add(st *sched.FunctionStats, age time.Duration, workers sched.WorkerCount) {
	r.shown = true
	r.asleep += workers.Asleep
	r.busy += workers.Busy
	if st.Paused != nil {
		r.paused++
	}
	if st.Closed != nil {
		r.closed++
	}
	r.stats.Total += st.Total
	r.stats.Running += st.Running
	r.stats.Workers += st.Workers
	for p := range st.Waiting {
		r.stats.Waiting[p] += st.Waiting[p]
		r.stats.Delayed[p] += st.Delayed[p]
	}
	r.age = max(r.age, age)
}

// rows returns the functions with metrics of their own by name, and last the sum of the others, if there are
// any.
func (m *Metrics) rows(all *sched.Metrics) (rows []row, hidden int) {
	byName := make(map[string]int, len(all.Own))
	rest := row{label: other, ever: all.Others}
	for i := range all.Own {
		o := &all.Own[i]
		if o.Name == other { // a function of that name would be mistaken for the sum
			rest.ever.Add(&o.Counters)
			continue
		}
		byName[o.Name] = len(rows)
		rows = append(rows, row{label: labelOf(o.Name), ever: o.Counters, times: o.Times})
	}
	now, workers := time.Now(), m.cfg.Source.Workers()
	m.walk(func(st *sched.FunctionStats) {
		age := time.Duration(0)
		if !st.Oldest.IsZero() {
			age = max(now.Sub(st.Oldest), 0)
		}
		i, own := byName[st.Name]
		if !own {
			hidden++
			rest.add(st, age, workers[st.Name])
			return
		}
		rows[i].add(st, age, workers[st.Name])
	})
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.label, b.label) })
	if hidden > 0 || rest.ever != (sched.Counters{}) {
		rows = append(rows, rest)
	}
	return rows, hidden
}

// walk visits all functions in steps, and yields to other goroutines after each.
func (m *Metrics) walk(f func(*sched.FunctionStats)) {
	walk := m.cfg.Source.Sched().ScanFunctions()
	var part []sched.FunctionStats
	for more := true; more; {
		part, more = walk.Next(part[:0])
		for i := range part {
			f(&part[i])
		}
		runtime.Gosched()
	}
}

// write writes everything except the process's metrics.
func (m *Metrics) write(w *writer) {
	src := m.cfg.Source
	w.begin(up)
	w.count(1)
	w.begin(versionInfo)
	w.count(1, m.cfg.Told)
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
}

// functionFamily is a family with samples of each function.
type functionFamily struct {
	family
	short string // its name in ?family=
	past  bool   // also written while the function is not known
	write func(*writer, *row)
}

var functionFamilies = []functionFamily{
	{jobs, "jobs", false, func(w *writer, r *row) { w.count(uint64(r.stats.Total), r.label) }},
	{jobsRunning, "running", false, func(w *writer, r *row) { w.count(uint64(r.stats.Running), r.label) }},
	{jobsWaiting, "jobs_waiting", false, func(w *writer, r *row) { w.count(uint64(max(r.stats.Total-r.stats.Running, 0)), r.label) }},
	{workers, "workers", false, func(w *writer, r *row) { w.count(uint64(r.stats.Workers), r.label) }},
	{waiting, "waiting", false, func(w *writer, r *row) {
		for p, name := range view.Priorities {
			w.count(uint64(r.stats.Waiting[p]-r.stats.Delayed[p]), r.label, name)
		}
	}},
	{delayed, "delayed", false, func(w *writer, r *row) {
		n := 0
		for _, k := range r.stats.Delayed {
			n += k
		}
		w.count(uint64(n), r.label)
	}},
	{oldest, "age", false, func(w *writer, r *row) { w.sample(r.age.Seconds(), r.label) }},
	{sleeping, "sleeping", false, func(w *writer, r *row) { w.count(uint64(r.asleep), r.label) }},
	{busy, "busy", false, func(w *writer, r *row) { w.count(uint64(r.busy), r.label) }},
	{paused, "paused", false, func(w *writer, r *row) {
		if r.paused > 0 {
			w.count(uint64(r.paused), r.label)
		}
	}},
	{closed, "closed", false, func(w *writer, r *row) {
		if r.closed > 0 {
			w.count(uint64(r.closed), r.label)
		}
	}},
	{submitted, "submitted", true, func(w *writer, r *row) {
		w.count(r.ever.Foreground, r.label, "foreground")
		w.count(r.ever.Background, r.label, "background")
	}},
	{coalesced, "coalesced", true, func(w *writer, r *row) { w.count(r.ever.Coalesced, r.label) }},
	{adopted, "adopted", true, func(w *writer, r *row) { w.count(r.ever.Adopted, r.label) }},
	{handedOut, "handed_out", true, func(w *writer, r *row) { w.count(r.ever.HandedOut, r.label) }},
	{putBack, "put_back", true, func(w *writer, r *row) { w.count(r.ever.PutBack, r.label) }},
	{ended, "ended", true, func(w *writer, r *row) {
		for o, n := range r.ever.Ended {
			// The usual outcomes are written from the beginning, so that their first occurrence is an increase.
			if n > 0 || o <= int(sched.WorkerLost) {
				w.count(n, r.label, sched.Outcome(o).String())
			}
		}
	}},
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

func (m *Metrics) writeConnections(w *writer) {
	server := m.cfg.Source.Reactor()
	if server == nil {
		return
	}
	now, limit := server.Connections()
	c := server.Counters()
	loops := server.Loops()
	var sum reactor.LoopStats
	codes := map[string]uint64{}
	for i := range loops {
		l := &loops[i]
		sum.TLS += l.TLS
		sum.BytesIn += l.BytesIn
		sum.BytesOut += l.BytesOut
		sum.Lines += l.Lines
		for t := range l.Received {
			sum.Received[t] += l.Received[t]
			sum.Sent[t] += l.Sent[t]
		}
		for reason, n := range l.Closed {
			sum.Closed[reason] += n
		}
		for code, n := range l.Errors {
			codes[code] += n
		}
	}
	one := func(f family, n int64) {
		w.begin(f)
		w.sample(float64(n))
	}
	one(connections, int64(now))
	one(connectionsTL, int64(sum.TLS))
	one(connectionMax, int64(limit))
	one(halfClosed, int64(server.HalfClosed()))
	w.begin(accepted)
	for _, d := range server.Doors() {
		w.sample(float64(d.Accepted), d.Kind+":"+d.Address)
	}
	w.begin(closedTotal)
	for reason, name := range reactor.CloseReasons() {
		w.count(sum.Closed[reason], name)
	}
	one(acceptWaits, c.Waited.Load())
	one(turnedAway, c.TurnedAway.Load())
	one(acceptErrors, c.AcceptErrors.Load())
	one(handshakes, c.Handshakes.Load())
	one(bytesIn, int64(sum.BytesIn))
	one(bytesOut, int64(sum.BytesOut))
	for _, p := range []struct {
		family
		n     []uint64
		usual []codec.Type
	}{{packetsIn, sum.Received[:], usualIn}, {packetsOut, sum.Sent[:], usualOut}} {
		w.begin(p.family)
		for t, n := range p.n {
			switch {
			case t == 0 && n > 0:
				w.count(n, "unknown")
			case t > 0 && (n > 0 || codec.Type(t).Known() && slices.Contains(p.usual, codec.Type(t))):
				w.count(n, codec.Type(t).String())
			}
		}
	}
	one(textCommands, int64(sum.Lines))
	w.begin(errorsSent)
	for _, code := range sortedKeys(codes) {
		w.count(codes[code], labelOf(code))
	}
	if server.ReadsHeaders() {
		one(badHeaders, c.Headers.Load())
	}
	if refused := server.RefusedRights(); len(refused) > 0 {
		w.begin(noRight)
		for _, r := range refused {
			w.count(uint64(r.Count), r.Right)
		}
	}
	one(internalFault, c.Panics.Load())
}

// usualIn and usualOut are packets that are written from the beginning, so that the first one is an increase.
var (
	usualIn = []codec.Type{
		codec.CanDo, codec.CanDoTimeout, codec.PreSleep, codec.GrabJob, codec.GrabJobUniq, codec.GrabJobAll, codec.SubmitJob,
		codec.SubmitJobBg, codec.SubmitJobHigh, codec.SubmitJobHighBg, codec.SubmitJobLow, codec.SubmitJobLowBg, codec.WorkStatus,
		codec.WorkComplete, codec.WorkFail, codec.WorkException, codec.WorkData, codec.WorkWarning, codec.GetStatus, codec.EchoReq,
	}
	usualOut = []codec.Type{
		codec.Noop, codec.JobCreated, codec.NoJob, codec.JobAssign, codec.JobAssignUniq, codec.JobAssignAll, codec.WorkStatus,
		codec.WorkComplete, codec.WorkFail, codec.WorkException, codec.WorkData, codec.WorkWarning, codec.StatusRes, codec.EchoRes,
		codec.Error,
	}
)

func (m *Metrics) writeLoops(w *writer) {
	loops := m.cfg.Source.LoopStats()
	each := func(f family, write func(*reactor.LoopStats, string)) {
		w.begin(f)
		for i := range loops {
			write(&loops[i], strconv.Itoa(i))
		}
	}
	each(loopTurn, func(l *reactor.LoopStats, i string) { w.times(&l.Turn, histogram.Turns, i) })
	each(loopLag, func(l *reactor.LoopStats, i string) { w.times(&l.Lag, histogram.Turns, i) })
	each(loopTurns, func(l *reactor.LoopStats, i string) { w.count(l.Turns, i) })
	each(loopReads, func(l *reactor.LoopStats, i string) { w.count(l.Reads, i) })
	each(loopPackets, func(l *reactor.LoopStats, i string) { w.count(l.Packets, i) })
	each(loopWrites, func(l *reactor.LoopStats, i string) { w.count(l.Writes, i) })
	each(loopMail, func(l *reactor.LoopStats, i string) { w.count(l.MailItems, i) })
	each(loopBatches, func(l *reactor.LoopStats, i string) { w.count(l.MailBatches, i) })
	each(loopBuffered, func(l *reactor.LoopStats, i string) { w.sample(float64(l.Buffered), i) })
	each(loopConns, func(l *reactor.LoopStats, i string) { w.count(uint64(l.Connections), i) })
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
	one(storeFails, float64(a.Failures))
	one(storeSegs, float64(a.Segments))
	one(storeLoad, m.cfg.Source.StoreLoad().Seconds())
	one(storeFree, float64(m.cfg.Source.StoreFree()))
}

// serveFunctions serves any functions (?match= a pattern) and any of their families (?family= their short
// names). It holds in memory only their order, however many there are.
func (m *Metrics) serveFunctions(w http.ResponseWriter, r *http.Request) {
	families, err := chosenFamilies(r.URL.Query()["family"])
	if err != nil {
		web.WriteProblem(w, r, guard.NewProblem(http.StatusBadRequest, err.Error()))
		return
	}
	select {
	case m.slice <- struct{}{}:
		defer func() { <-m.slice }()
	case <-r.Context().Done():
		return
	}
	match := r.URL.Query().Get("match")
	workers := m.cfg.Source.Workers()
	answer(w, r, func(w *writer) {
		for _, f := range families {
			w.begin(f.family)
			now := time.Now()
			m.walk(func(st *sched.FunctionStats) {
				if w.err != nil || !view.Matches(match, st.Name) {
					return
				}
				f.write(w, rowOf(st, now, workers[st.Name]))
			})
			if w.err != nil {
				return
			}
		}
	})
}

func rowOf(st *sched.FunctionStats, now time.Time, workers sched.WorkerCount) *row {
	age := time.Duration(0)
	if !st.Oldest.IsZero() {
		age = max(now.Sub(st.Oldest), 0)
	}
	r := &row{label: labelOf(st.Name), ever: st.Counters}
	r.add(st, age, workers)
	return r
}

// chosenFamilies returns the families with these short names, which may be separated by commas; all without
// names.
func chosenFamilies(names []string) (chosen []functionFamily, err error) {
	var known []string
	for _, f := range functionFamilies {
		known = append(known, f.short)
	}
	wanted := map[string]bool{}
	for _, list := range names {
		for name := range strings.SplitSeq(list, ",") {
			if !slices.Contains(known, name) {
				return nil, fmt.Errorf("family is %q: it must be of %s", name, strings.Join(known, ", "))
			}
			wanted[name] = true
		}
	}
	for _, f := range functionFamilies {
		if len(wanted) == 0 || wanted[f.short] {
			chosen = append(chosen, f)
		}
	}
	return chosen, nil
}

func sortedKeys[T any](m map[string]T) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
