package view

import (
	"sync"
	"time"

	"gearloop/api"
	"gearloop/internal/histogram"
	"gearloop/sched"
)

// state is the broker at a moment: counters since the start, and gauges.
type state struct {
	at                                        time.Time
	submitted, handedOut, ended, failed       uint64
	refused, received, sent                   uint64
	waits, runs, lags, syncs                  histogram.Histogram
	waiting, delayed, running                 int
	connections, workers, asleep, memoryBytes int64
}

// counts are series from counters, gauges from states, quantiles from times.
var (
	counts = []struct {
		name string
		of   func(*state) uint64
	}{
		{api.SeriesSubmitted, func(s *state) uint64 { return s.submitted }},
		{api.SeriesHandedOut, func(s *state) uint64 { return s.handedOut }},
		{api.SeriesEnded, func(s *state) uint64 { return s.ended }},
		{api.SeriesFailed, func(s *state) uint64 { return s.failed }},
		{api.SeriesRefused, func(s *state) uint64 { return s.refused }},
		{api.SeriesReceived, func(s *state) uint64 { return s.received }},
		{api.SeriesSent, func(s *state) uint64 { return s.sent }},
	}
	gauges = []struct {
		name string
		of   func(*state) int64
	}{
		{api.SeriesWaiting, func(s *state) int64 { return int64(s.waiting) }},
		{api.SeriesDelayed, func(s *state) int64 { return int64(s.delayed) }},
		{api.SeriesRunning, func(s *state) int64 { return int64(s.running) }},
		{api.SeriesConnections, func(s *state) int64 { return s.connections }},
		{api.SeriesWorkers, func(s *state) int64 { return s.workers }},
		{api.SeriesAsleep, func(s *state) int64 { return s.asleep }},
		{api.SeriesMemory, func(s *state) int64 { return s.memoryBytes }},
	}
	quantiles = []struct {
		name   string
		of     func(*state) *histogram.Histogram
		bounds histogram.Bounds
		q      float64
	}{
		{api.SeriesWaitP50, func(s *state) *histogram.Histogram { return &s.waits }, histogram.Jobs, .5},
		{api.SeriesWaitP99, func(s *state) *histogram.Histogram { return &s.waits }, histogram.Jobs, .99},
		{api.SeriesRunP99, func(s *state) *histogram.Histogram { return &s.runs }, histogram.Jobs, .99},
		{api.SeriesLagP99, func(s *state) *histogram.Histogram { return &s.lags }, histogram.Turns, .99},
		{api.SeriesSyncP99, func(s *state) *histogram.Histogram { return &s.syncs }, histogram.Turns, .99},
	}
	seriesCount = len(counts) + len(gauges) + len(quantiles)
)

// ring holds the latest points, one for each step.
type ring struct {
	step int // in looks, one per second
	size int

	times  []int64
	values []float32 // seriesCount for each point
	next   int       // index of the next point, once size exist

	begun state // at the end of the last point
	sums  []int64
	looks int // since then
}

// rings returns the three rings.
func rings() []*ring {
	return []*ring{{step: 1, size: 600}, {step: 10, size: 2160}, {step: 300, size: 2016}}
}

// add adds a look.
func (r *ring) add(s *state) {
	if r.begun.at.IsZero() {
		r.begun, r.sums = *s, make([]int64, len(gauges))
		return
	}
	for i, g := range gauges {
		r.sums[i] += g.of(s)
	}
	if r.looks++; r.looks < r.step {
		return
	}
	point := make([]float32, 0, seriesCount)
	seconds := s.at.Sub(r.begun.at).Seconds()
	for _, c := range counts {
		point = append(point, float32(float64(c.of(s)-c.of(&r.begun))/max(seconds, 1e-3)))
	}
	for i := range gauges {
		point = append(point, float32(float64(r.sums[i])/float64(r.looks)))
		r.sums[i] = 0
	}
	for _, q := range quantiles {
		since := q.of(s).Since(q.of(&r.begun))
		point = append(point, float32(since.Seconds(q.bounds, q.q)))
	}
	r.begun, r.looks = *s, 0
	if len(r.times) < r.size {
		r.times, r.values = append(r.times, s.at.Unix()), append(r.values, point...)
		return
	}
	r.times[r.next] = s.at.Unix()
	copy(r.values[r.next*seriesCount:], point)
	r.next = (r.next + 1) % r.size
}

// history returns the points, oldest first.
func (r *ring) history() api.History {
	h := api.History{Step: r.step, Times: make([]int64, 0, len(r.times)), Series: map[string][]float64{}}
	var names []string
	for _, c := range counts {
		names = append(names, c.name)
	}
	for _, g := range gauges {
		names = append(names, g.name)
	}
	for _, q := range quantiles {
		names = append(names, q.name)
	}
	for i := range r.times {
		at := (r.next + i) % len(r.times)
		h.Times = append(h.Times, r.times[at])
		for k, name := range names {
			h.Series[name] = append(h.Series[name], float64(r.values[at*seriesCount+k]))
		}
	}
	return h
}

// past is what is remembered of the past.
type past struct {
	mu    sync.Mutex
	rings []*ring

	workers, asleep int // from the last walk, which visits all connections
}

// History returns the past in steps of 1, 10 or 300 seconds. It is empty unless Start was called.
func (s *Source) History(step int) (api.History, error) {
	s.past.mu.Lock()
	defer s.past.mu.Unlock()
	for _, r := range s.past.rings {
		if r.step == step {
			return r.history(), nil
		}
	}
	return api.History{}, badQuery("step is %d: it must be 1, 10 or 300 seconds", step)
}

// remember adds the present.
func (s *Source) remember(look int) {
	now := state{at: s.cfg.Now()}
	n, c, times := s.cfg.Sched.Sums()
	now.submitted, now.handedOut, now.failed = c.Foreground+c.Background, c.HandedOut, failed(&c)
	for _, k := range c.Ended {
		now.ended += k
	}
	for _, k := range c.Refused {
		now.refused += k
	}
	now.waiting, now.delayed, now.running, now.memoryBytes = n.Queued, n.Delayed, n.Running, n.Memory
	now.waits, now.runs = times[sched.Waited], times[sched.Ran]
	if s.cfg.Server != nil {
		connections, _ := s.cfg.Server.Connections()
		now.connections = int64(connections)
	}
	loops := s.LoopStats()
	for i := range loops {
		now.received += loops[i].BytesIn
		now.sent += loops[i].BytesOut
		now.lags.Merge(&loops[i].Lag)
	}
	if k := s.Keeper(); k != nil {
		now.syncs = k.Activity().Sync
	}
	if look%peersEvery == 0 {
		all := s.cfg.Sched.Count()
		s.past.workers, s.past.asleep = all.Workers, all.Sleepers
	}
	now.workers, now.asleep = int64(s.past.workers), int64(s.past.asleep)
	s.past.mu.Lock()
	defer s.past.mu.Unlock()
	for _, r := range s.past.rings {
		r.add(&now)
	}
}

// peersEvery is the number of looks between walks through all connections.
const peersEvery = 10
