package rounds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"gearloop/internal/load"
)

// Server is a server to measure.
type Server struct {
	Name string // for the tables
	Addr string
	PID  int // of its process if it is on this machine, otherwise 0

	Load *load.Config // instead of the plan's; nil: that
}

// Plan is what to measure.
type Plan struct {
	Load     load.Config // without the address
	Span     load.Span   // without the process id
	Servers  []Server
	Rounds   int
	Progress io.Writer // gets a line that is overwritten repeatedly; nil: none

	// Steady is the name of the server by which it is noticed that the machine was not steady; "" = none. A round in
	// which its processor time per job is off the median of all rounds by more than the fraction Drift is made again,
	// for all servers; Repeats bounds how many rounds are.
	Steady  string
	Drift   float64
	Repeats int

	// Renew starts a new process of a server, which is measured in its next turn: the memory that a server keeps
	// from one turn would make the next one cheaper. nil: one process of each server has all turns.
	Renew func(Server) (Server, error)

	turn func(ctx context.Context, p Plan, s Server, round int) (*Round, *hdrhistogram.Histogram, error) // nil: turnOf
}

// Report is the result of a plan.
type Report struct {
	Load        load.Config
	Servers     []*Outcome
	Interrupted bool // ctx ended it early
	Repeated    int  // rounds that were made again because the machine was not steady
	Unsteady    bool // a round is left in which it was not
}

// Outcome is the result of one server.
type Outcome struct {
	Server Server
	Rounds []Round
	Total  Round                   // sum over all rounds, except Err
	Times  *hdrhistogram.Histogram // of all rounds, in nanoseconds
	Err    error                   // why rounds are missing

	times []*hdrhistogram.Histogram // of each round
}

// Round is the result of one turn of one server.
type Round struct {
	load.Part               // in background mode: the submissions
	Drain     load.Part     // in background mode: the workers' part
	Growth    load.Growth   // by sleeping connections
	P50       time.Duration // half of all jobs took at most this long
	P90       time.Duration
	P99       time.Duration
	P999      time.Duration
	Max       time.Duration
	Mean      time.Duration
	InFlight  int64 // unfinished jobs when an interrupted run was given up
}

// Run executes a plan. When ctx ends it returns the results so far. A server that fails is left out from then
// on; its outcome has the error, which Run also returns together with the report.
func Run(ctx context.Context, p Plan) (*Report, error) {
	if err := p.Load.Check(); err != nil {
		return nil, err
	}
	r := &Report{Load: p.Load}
	for _, s := range p.Servers {
		r.Servers = append(r.Servers, &Outcome{Server: s, Times: hdrhistogram.New(1, int64(10*time.Minute), 3)})
	}
	for round := range p.Rounds {
		r.round(ctx, p, round)
	}
	r.repeat(ctx, p)
	r.Interrupted = ctx.Err() != nil
	for _, o := range r.Servers {
		o.add()
	}
	return r, r.failed()
}

// round has each server take its turn. Every other round goes the other way round.
func (r *Report) round(ctx context.Context, p Plan, round int) {
	order := slices.Clone(r.Servers)
	if round%2 == 1 {
		slices.Reverse(order)
	}
	for _, o := range order {
		if o.Err == nil && ctx.Err() == nil {
			o.Err = o.measure(ctx, p, round)
		}
	}
}

// repeat makes the rounds again in which the machine was not steady.
func (r *Report) repeat(ctx context.Context, p Plan) {
	i := slices.IndexFunc(r.Servers, func(o *Outcome) bool { return o.Server.Name == p.Steady && o.Server.PID != 0 })
	if i < 0 || p.Drift <= 0 {
		return
	}
	for ctx.Err() == nil && r.failed() == nil {
		var costs []float64
		for _, one := range r.Servers[i].Rounds {
			costs = append(costs, PerJob(one.Server, one.Part))
		}
		round := drifted(costs, p.Drift)
		if round < 0 {
			return
		}
		if r.Repeated == p.Repeats {
			r.Unsteady = true
			return
		}
		r.Repeated++
		r.round(ctx, p, round)
	}
}

// drifted returns which of the values is off their median by the largest fraction, if that is more than by; else -1.
// Of two values the smaller one counts as the median, because a disturbed machine makes everything cost more.
func drifted(values []float64, by float64) int {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) < 2 || sorted[(len(sorted)-1)/2] <= 0 {
		return -1
	}
	median := sorted[(len(sorted)-1)/2]
	worst := -1
	for i, v := range values {
		if off := math.Abs(v/median - 1); off > by {
			worst, by = i, off
		}
	}
	return worst
}

// failed returns the errors of servers.
func (r *Report) failed() error {
	var failed []error
	for _, o := range r.Servers {
		if o.Err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", o.Server.Name, o.Err))
		}
	}
	return errors.Join(failed...)
}

// measure lets the server take its turn in a round, for the first time or again.
func (o *Outcome) measure(ctx context.Context, p Plan, round int) error {
	turn, server := p.turn, o.Server
	if turn == nil {
		turn = turnOf
	}
	if p.Renew != nil {
		var err error
		if server, err = p.Renew(server); err != nil {
			return err
		}
	}
	one, times, err := turn(ctx, p, server, round)
	if one == nil || err != nil {
		return err
	}
	one.times(times)
	if round < len(o.Rounds) {
		o.Rounds[round], o.times[round] = *one, times
	} else {
		o.Rounds, o.times = append(o.Rounds, *one), append(o.times, times)
	}
	return nil
}

// turnOf puts the load on a server; nil if ctx ended it before it began.
func turnOf(ctx context.Context, p Plan, s Server, round int) (*Round, *hdrhistogram.Histogram, error) {
	cfg, span := p.Load, p.Span
	if s.Load != nil {
		cfg = *s.Load
	}
	cfg.Addr, span.PID = s.Addr, s.PID
	line := newProgress(p.Progress, fmt.Sprintf("round %d of %d, %s", round+1, p.Rounds, s.Name))
	defer line.end()
	l, err := load.Open(ctx, cfg, span.PID)
	if ctx.Err() != nil && err != nil {
		return nil, nil, nil // not the server's fault
	}
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	line.follow(l, cfg.Mode)
	res, err := l.Run(ctx, span)
	if err != nil {
		return nil, nil, err
	}
	return &Round{Part: res.Part, Drain: res.Drain, Growth: l.Growth(), InFlight: res.InFlight}, res.Times, nil
}

// add sums the rounds up.
func (o *Outcome) add() {
	for i := range o.Rounds {
		one := &o.Rounds[i]
		o.Times.Merge(o.times[i])
		if i == 0 {
			o.Total = *one
			continue
		}
		o.Total.Part = sum(o.Total.Part, one.Part)
		o.Total.Drain = sum(o.Total.Drain, one.Drain)
		o.Total.InFlight += one.InFlight
	}
	if len(o.Rounds) > 1 {
		o.Total.times(o.Times)
	}
}

func (r *Round) times(h *hdrhistogram.Histogram) {
	at := func(q float64) time.Duration { return time.Duration(h.ValueAtQuantile(q)) }
	r.P50, r.P90, r.P99, r.P999, r.Max = at(50), at(90), at(99), at(99.9), time.Duration(h.Max())
	r.Mean = time.Duration(h.Mean())
}

// sum adds two parts. The memory is that of the first one, which began with a less used server, except for
// the peak.
func sum(a, b load.Part) load.Part {
	a.Jobs += b.Jobs
	a.Elapsed += b.Elapsed
	a.Server += b.Server
	a.Switches += b.Switches
	a.Generator += b.Generator
	a.Peak = max(a.Peak, b.Peak)
	return a
}

// PerSecond returns jobs per second.
func PerSecond(p load.Part) float64 {
	if p.Elapsed <= 0 {
		return 0
	}
	return float64(p.Jobs) / p.Elapsed.Seconds()
}

// PerJob returns a time (in microseconds) or number per job.
func PerJob[N time.Duration | int64](n N, p load.Part) float64 {
	if p.Jobs == 0 {
		return 0
	}
	v := float64(n) / float64(p.Jobs)
	if _, ok := any(n).(time.Duration); ok {
		v /= 1e3
	}
	return v
}

// BytesPerQueuedJob returns how much the server's memory grew for each submitted background job.
func (r *Round) BytesPerQueuedJob() float64 { return PerJob(r.Resident-r.Before, r.Part) }

// BytesPerSleeper returns how much the server's memory grew for each sleeping connection; 0 if there are
// none.
func (r *Round) BytesPerSleeper() float64 {
	if r.Growth.Connections == 0 {
		return 0
	}
	return float64(r.Growth.Connected-r.Growth.Before) / float64(r.Growth.Connections)
}
