package rounds

import (
	"encoding/json"
	"io"
	"time"

	"gearloop/internal/load"
)

// The JSON form of a report. Times are microseconds unless the name says otherwise, memory is bytes.
type (
	jsonReport struct {
		Load        jsonLoad      `json:"load"`
		Interrupted bool          `json:"interrupted"`
		Servers     []jsonOutcome `json:"servers"`
	}
	jsonLoad struct {
		Mode      load.Mode `json:"mode"`
		Functions int       `json:"functions"`
		Abilities int       `json:"abilities"`
		Clients   int       `json:"clients"`
		Depth     int       `json:"depth,omitempty"`
		Rate      float64   `json:"rate,omitempty"`
		Workers   int       `json:"workers"`
		Sleepers  int       `json:"sleepers"`
		Idle      int       `json:"idle"`
		Payload   int       `json:"payload_bytes"`
		Result    int       `json:"result_bytes"`
		Connect   bool      `json:"connection_for_each_job,omitempty"`
		Unique    bool      `json:"unique"`
		Grab      string    `json:"grab"`
		Loops     int       `json:"generator_loops"`
	}
	jsonOutcome struct {
		Name   string      `json:"name"`
		Addr   string      `json:"addr"`
		PID    int         `json:"pid,omitempty"`
		Error  string      `json:"error,omitempty"`
		Total  *jsonRound  `json:"total,omitempty"`
		Ratio  *jsonRatio  `json:"ratio,omitempty"`
		Rounds []jsonRound `json:"rounds"`
	}
	jsonRound struct {
		jsonPart
		P50      float64   `json:"p50_us"`
		P90      float64   `json:"p90_us"`
		P99      float64   `json:"p99_us"`
		P999     float64   `json:"p99_9_us"`
		Max      float64   `json:"max_us"`
		Mean     float64   `json:"mean_us"`
		Drain    *jsonPart `json:"drain,omitempty"`
		InFlight int64     `json:"in_flight_at_the_end,omitempty"`
		Sleeper  float64   `json:"server_bytes_per_sleeper,omitempty"`
		Queued   float64   `json:"server_bytes_per_queued_job,omitempty"`
	}
	jsonPart struct {
		Jobs      int64   `json:"jobs"`
		Seconds   float64 `json:"seconds"`
		PerSecond float64 `json:"jobs_per_second"`
		Generator float64 `json:"generator_cpu_us_per_job"`
		Server    float64 `json:"server_cpu_us_per_job,omitempty"`
		Switches  float64 `json:"server_switches_per_job,omitempty"`
		Resident  int64   `json:"server_resident_bytes,omitempty"`
		Peak      int64   `json:"server_peak_bytes,omitempty"`
	}
	// jsonRatio is relative to the first server.
	jsonRatio struct {
		PerSecond float64 `json:"jobs_per_second"`
		P50       float64 `json:"p50"`
		P99       float64 `json:"p99"`
		Server    float64 `json:"server_cpu,omitempty"`
	}
)

// WriteJSON writes a report as one object.
func (r *Report) WriteJSON(out io.Writer) error {
	c := r.Load
	j := jsonReport{Interrupted: r.Interrupted, Load: jsonLoad{
		Mode: c.Mode, Functions: c.Functions, Abilities: c.Abilities, Clients: c.Clients, Depth: c.Depth, Rate: c.Rate,
		Workers: c.Workers, Sleepers: c.Sleepers, Idle: c.Idle, Payload: c.Payload, Result: c.Result,
		Connect: c.Connect, Unique: c.Unique, Grab: c.Grab.String(), Loops: c.Loops,
	}}
	if c.Rate > 0 {
		j.Load.Depth = 0
	}
	for i, o := range r.Servers {
		js := jsonOutcome{Name: o.Server.Name, Addr: o.Server.Addr, PID: o.Server.PID, Rounds: []jsonRound{}}
		if o.Err != nil {
			js.Error = o.Err.Error()
		}
		for k := range o.Rounds {
			js.Rounds = append(js.Rounds, r.jsonRound(o, &o.Rounds[k]))
		}
		if len(o.Rounds) > 0 {
			total := r.jsonRound(o, &o.Total)
			js.Total = &total
		}
		if first := r.Servers[0]; i > 0 && len(o.Rounds) > 0 && len(first.Rounds) > 0 {
			js.Ratio = &jsonRatio{
				PerSecond: over(PerSecond(o.Total.Part), PerSecond(first.Total.Part)),
				P50:       over(float64(o.Total.P50), float64(first.Total.P50)),
				P99:       over(float64(o.Total.P99), float64(first.Total.P99)),
				Server:    over(PerJob(o.Total.Server, o.Total.Part), PerJob(first.Total.Server, first.Total.Part)),
			}
		}
		j.Servers = append(j.Servers, js)
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(j)
}

func (r *Report) jsonRound(o *Outcome, n *Round) jsonRound {
	us := func(d time.Duration) float64 { return float64(d) / 1e3 }
	j := jsonRound{
		jsonPart: jsonOf(n.Part), P50: us(n.P50), P90: us(n.P90), P99: us(n.P99), P999: us(n.P999), Max: us(n.Max),
		Mean: us(n.Mean), InFlight: n.InFlight,
	}
	if o.Server.PID != 0 {
		j.Sleeper = n.BytesPerSleeper()
	}
	if r.Load.Mode == load.Background {
		drain := jsonOf(n.Drain)
		j.Drain = &drain
		if o.Server.PID != 0 {
			j.Queued = o.Rounds[0].BytesPerQueuedJob()
		}
	}
	return j
}

func jsonOf(p load.Part) jsonPart {
	return jsonPart{
		Jobs: p.Jobs, Seconds: p.Elapsed.Seconds(), PerSecond: PerSecond(p), Generator: PerJob(p.Generator, p),
		Server: PerJob(p.Server, p), Switches: PerJob(p.Switches, p), Resident: p.Resident, Peak: p.Peak,
	}
}

// over divides a by b; 0 if b is 0.
func over(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
