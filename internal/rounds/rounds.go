package rounds

import (
	"context"
	"errors"
	"fmt"
	"io"
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
}

// Plan is what to measure.
type Plan struct {
	Load     load.Config // without the address
	Span     load.Span   // without the process id
	Servers  []Server
	Rounds   int
	Progress io.Writer // gets a line that is overwritten repeatedly; nil: none
}

// Report is the result of a plan.
type Report struct {
	Load        load.Config
	Servers     []*Outcome
	Interrupted bool // ctx ended it early
}

// Outcome is the result of one server.
type Outcome struct {
	Server Server
	Rounds []Round
	Total  Round                   // sum over all rounds, except Err
	Times  *hdrhistogram.Histogram // of all rounds, in nanoseconds
	Err    error                   // why rounds are missing
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
		turn := slices.Clone(r.Servers)
		if round%2 == 1 {
			slices.Reverse(turn)
		}
		for _, o := range turn {
			if r.Interrupted = ctx.Err() != nil; r.Interrupted {
				return r, r.failed()
			}
			if o.Err == nil {
				o.Err = o.measure(ctx, p, round)
			}
		}
	}
	r.Interrupted = ctx.Err() != nil
	return r, r.failed()
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

func (o *Outcome) measure(ctx context.Context, p Plan, round int) error {
	cfg, span := p.Load, p.Span
	cfg.Addr, span.PID = o.Server.Addr, o.Server.PID
	line := newProgress(p.Progress, fmt.Sprintf("round %d of %d, %s", round+1, p.Rounds, o.Server.Name))
	defer line.end()
	l, err := load.Open(ctx, cfg, span.PID)
	if ctx.Err() != nil && err != nil {
		return nil // not the server's fault
	}
	if err != nil {
		return err
	}
	defer l.Close()
	line.follow(l, cfg.Mode)
	res, err := l.Run(ctx, span)
	if err != nil {
		return err
	}
	one := Round{Part: res.Part, Drain: res.Drain, Growth: l.Growth(), InFlight: res.InFlight}
	one.times(res.Times)
	o.Rounds = append(o.Rounds, one)
	o.Times.Merge(res.Times)
	if len(o.Rounds) == 1 {
		o.Total = one
		return nil
	}
	o.Total.Part = sum(o.Total.Part, one.Part)
	o.Total.Drain = sum(o.Total.Drain, one.Drain)
	o.Total.InFlight += one.InFlight
	o.Total.times(o.Times)
	return nil
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
