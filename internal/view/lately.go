package view

import (
	"math"
	"sync"
	"time"

	"gearloop/api"
	"gearloop/internal/histogram"
	"gearloop/sched"
)

const (
	// ratesEvery is after how many looks the counts of ended jobs are recorded, while somebody asks for rates.
	ratesEvery = 15
	// ratesFor is how long the counts are recorded after somebody has asked.
	ratesFor = time.Minute
	// leastWindow is the shortest time over which a rate is computed.
	leastWindow = time.Second
)

// pastRates holds the counts of all functions at two moments of the last half minute, while somebody looks at
// functions.
type pastRates struct {
	mu           sync.Mutex
	asked        time.Time
	former, last endedBy
}

// ask records that somebody looks at functions.
func (p *pastRates) ask(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = now
}

// wanted reports whether somebody has looked at functions recently. If not it drops the counts.
func (p *pastRates) wanted(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked.IsZero() || now.Sub(p.asked) > ratesFor {
		p.asked, p.former, p.last = time.Time{}, endedBy{}, endedBy{}
		return false
	}
	return true
}

func (p *pastRates) keep(by endedBy) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.former, p.last = p.last, by
}

// begin returns the counts since which rates are computed, if there are any.
func (p *pastRates) begin(now time.Time) (by endedBy, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, by := range [...]*endedBy{&p.former, &p.last} {
		if age := now.Sub(by.at); !by.at.IsZero() && age >= leastWindow && age < ratesFor {
			return *by, true
		}
	}
	return endedBy{}, false
}

// WatchFunctions makes rates of functions cover the last half minute, as long as it is called at least once a
// minute.
func (s *Source) WatchFunctions() { s.rates.ask(s.cfg.Now()) }

// rateBegin returns the counts since which rates are computed now.
func (s *Source) rateBegin(now time.Time) (by endedBy, seconds float64) {
	by, ok := s.rates.begin(now)
	if !ok {
		by = s.failures.begin(s.cfg.Started)
	}
	return by, now.Sub(by.at).Seconds()
}

// rate returns how many jobs of a function end per second, or nil if that is not known yet.
func (s *Source) rate(name string, past *failures) *float64 {
	by, seconds := s.rateBegin(s.cfg.Now())
	if seconds < leastWindow.Seconds() {
		return nil
	}
	d := by.since(name, past)
	rate := float64(d.ended) / seconds
	return &rate
}

// latelyOf returns the recent figures of a function, or nil if they are not known yet.
func (s *Source) latelyOf(name string, past *failures) *api.Lately {
	by := s.failures.begin(s.cfg.Started)
	seconds := s.cfg.Now().Sub(by.at).Seconds()
	if seconds < leastWindow.Seconds() {
		return nil
	}
	d := by.since(name, past)
	l := &api.Lately{Seconds: math.Round(seconds), Ended: api.Count(d.ended), Failed: map[string]api.Count{}}
	for i, o := range badEnds {
		if d.bad[i] > 0 {
			l.Failed[o.String()] = api.Count(d.bad[i])
		}
	}
	if times, ok := s.cfg.Sched.FunctionTimes(name); ok {
		l.Wait, l.Run = by.quantiles(name, &times, sched.Waited), by.quantiles(name, &times, sched.Ran)
		l.Duration = by.quantiles(name, &times, sched.Lived)
	}
	return l
}

// timesSince returns the times of one kind since a moment, from all times until now.
func (by *endedBy) timesSince(name string, now *sched.Times, kind int) histogram.Histogram {
	if before := by.times[name]; before != nil {
		return now[kind].Since(&before[kind])
	}
	return now[kind]
}

// quantiles returns the quantiles of the times of one kind since that moment, nil if there were none.
func (by *endedBy) quantiles(name string, now *sched.Times, kind int) *api.Quantiles {
	h := by.timesSince(name, now, kind)
	if h.Count() == 0 {
		return nil
	}
	at := func(q float64) float64 { return h.Seconds(histogram.Jobs, q) }
	return &api.Quantiles{Jobs: api.Count(h.Count()), P50: at(.5), P90: at(.9), P99: at(.99)}
}

// functionTimes returns the times of all functions that have histograms of their own.
func (s *Source) functionTimes() map[string]*sched.Times {
	all := map[string]*sched.Times{}
	for _, own := range s.cfg.Sched.Metrics().Own {
		if own.Times != nil {
			all[own.Name] = own.Times
		}
	}
	return all
}

// unknown sorts behind all numbers.
const unknown = -1

// ratesOf returns how many jobs of each function end per second.
func (s *Source) ratesOf(rows []functionRow) []float64 {
	by, seconds := s.rateBegin(s.cfg.Now())
	all := make([]float64, len(rows))
	for i := range rows {
		d := by.since(rows[i].name, &rows[i].past)
		all[i] = float64(d.ended) / max(seconds, leastWindow.Seconds())
	}
	return all
}

// shares returns which share of each function's jobs failed lately.
func (s *Source) shares(rows []functionRow) []float64 {
	lately, _ := s.failures.lately(rows, s.cfg.Started, 0)
	all := make([]float64, len(rows))
	for i := range lately {
		if all[i] = unknown; lately[i].ended > 0 {
			all[i] = lately[i].share()
		}
	}
	return all
}

// asleepOf returns how many workers of each function sleep.
func (s *Source) asleepOf(rows []functionRow) []float64 {
	workers, all := s.Workers(), make([]float64, len(rows))
	for i := range rows {
		all[i] = float64(workers[rows[i].name].Asleep)
	}
	return all
}

// waitsP99 returns how long 99 percent of each function's jobs waited at most.
func (s *Source) waitsP99(rows []functionRow) []float64 {
	by, times, all := s.failures.begin(s.cfg.Started), s.functionTimes(), make([]float64, len(rows))
	for i := range rows {
		all[i] = unknown
		if now := times[rows[i].name]; now != nil {
			if h := by.timesSince(rows[i].name, now, sched.Waited); h.Count() > 0 {
				all[i] = h.Seconds(histogram.Jobs, .99)
			}
		}
	}
	return all
}
