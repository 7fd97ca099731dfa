package main

import (
	"math"
	"time"

	"gearloop/internal/load"
	"gearloop/internal/rounds"
)

// results is everything that was measured, as stored in docs/bench/results.json. Times are microseconds,
// memory is bytes.
type results struct {
	Machine   machine    `json:"machine"`
	Date      string     `json:"date"`
	Command   string     `json:"command"`
	Rounds    int        `json:"rounds"`
	Seconds   float64    `json:"seconds"`
	Scenarios []scenario `json:"scenarios"`
	Series    []series   `json:"series"`
}

type scenario struct {
	Name    string `json:"name"`
	Title   string `json:"title"`
	Mode    string `json:"mode"`
	Servers []cell `json:"servers"`
}

// cell is one server in one scenario.
type cell struct {
	Server    string  `json:"server"`
	Jobs      int64   `json:"jobs"`
	PerSecond float64 `json:"jobs_per_second"`
	CPU       float64 `json:"server_cpu_us_per_job"`
	Switches  float64 `json:"server_switches_per_job"`
	Syscalls  float64 `json:"server_syscalls_per_job,omitempty"`
	P50       float64 `json:"p50_us"`
	P99       float64 `json:"p99_us"`
	P999      float64 `json:"p99_9_us"`
	Generator float64 `json:"generator_cpu_us_per_job"`
	Resident  int64   `json:"server_resident_bytes"`
	Peak      int64   `json:"server_peak_bytes"`
	Queued    float64 `json:"server_bytes_per_queued_job,omitempty"`
	Sleeper   float64 `json:"server_bytes_per_sleeper,omitempty"`
	Drained   float64 `json:"drained_per_second,omitempty"`
	DrainCPU  float64 `json:"drain_server_cpu_us_per_job,omitempty"`

	// Its processor time per job over the first server's, of each round in which both had a turn.
	Ratios []float64 `json:"ratios,omitempty"`

	// The longest time of a part of the jobs, for the plot of open loops.
	Distribution []point `json:"distribution,omitempty"`
}

func cellOf(o *rounds.Outcome, syscalls float64) cell {
	us := func(d time.Duration) float64 { return float64(d) / 1e3 }
	n := &o.Total
	c := cell{
		Server: o.Server.Name, Jobs: n.Jobs, PerSecond: rounds.PerSecond(n.Part), CPU: rounds.PerJob(n.Server, n.Part),
		Switches: rounds.PerJob(n.Switches, n.Part), Syscalls: syscalls, P50: us(n.P50), P99: us(n.P99), P999: us(n.P999),
		Generator: rounds.PerJob(n.Generator, n.Part), Resident: n.Resident, Peak: n.Peak, Sleeper: n.BytesPerSleeper(),
	}
	if n.Drain.Jobs > 0 {
		c.Queued = o.Rounds[0].BytesPerQueuedJob()
		c.Drained, c.DrainCPU = rounds.PerSecond(n.Drain), rounds.PerJob(n.Drain.Server, n.Drain)
	}
	// From half of all jobs on, each step leaves out 0.8 of the rest, up to the last ten jobs.
	for rest := 0.5; rest*float64(n.Jobs) > 10; rest *= 0.8 {
		c.Distribution = append(c.Distribution, point{1 / rest, float64(o.Times.ValueAtQuantile(100*(1-rest))) / 1e6})
	}
	return c
}

// series is a set of lines over a variable, one for each server or scenario.
type series struct {
	Name  string `json:"name"`
	Lines []line `json:"lines"`
}

type line struct {
	Name   string  `json:"name"`
	Points []point `json:"points"`
}

type point struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// add adds a point to the line of a name.
func (s *series) add(name string, x, y float64) {
	for i := range s.Lines {
		if s.Lines[i].Name == name {
			s.Lines[i].Points = append(s.Lines[i].Points, point{x, y})
			return
		}
	}
	s.Lines = append(s.Lines, line{name, []point{{x, y}}})
}

// slope returns how much y grows per x from the first point to the last.
func (l *line) slope() float64 {
	first, last := l.Points[0], l.Points[len(l.Points)-1]
	if first.X == last.X {
		return math.NaN()
	}
	return (last.Y - first.Y) / (last.X - first.X)
}

func (r *results) scenario(name string) *scenario {
	for i := range r.Scenarios {
		if r.Scenarios[i].Name == name {
			return &r.Scenarios[i]
		}
	}
	return &scenario{}
}

func (r *results) series(name string) *series {
	for i := range r.Series {
		if r.Series[i].Name == name {
			return &r.Series[i]
		}
	}
	return &series{}
}

func (s *scenario) cell(server string) *cell {
	for i := range s.Servers {
		if s.Servers[i].Server == server {
			return &s.Servers[i]
		}
	}
	return nil
}

func (s *scenario) background() bool { return s.Mode == string(load.Background) }
