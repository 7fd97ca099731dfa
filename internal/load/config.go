package load

import (
	"fmt"
	"time"

	"gearloop/codec"
)

// Mode is what clients send.
type Mode string

// The modes.
const (
	Foreground Mode = "foreground" // SUBMIT_JOB, done with its result
	Background Mode = "background" // SUBMIT_JOB_BG, done with JOB_CREATED; workers start when all jobs are submitted
	Echo       Mode = "echo"       // ECHO_REQ, done with ECHO_RES
)

const (
	// MinPayload is the smallest argument and result, in bytes; it identifies the job.
	MinPayload = 8
	maxPayload = 1 << 30
	// maxName is the longest function name, in bytes, without its number.
	maxName = 128
	// stallLimit is how long a run may make no progress before it is given up.
	stallLimit = 20 * time.Second
)

// Config describes the load.
type Config struct {
	Addr      string // of the server: host:port, or unix:PATH
	Mode      Mode   // Foreground when empty
	Function  string // name of the function, followed by a number if there are several
	Functions int    // number of functions, at least 1
	Clients   int    // connections that submit
	Depth     int    // jobs in flight per client; ignored with a Rate
	Workers   int    // connections that do jobs, one at a time each
	Abilities int    // functions registered by each worker; 0 = all
	Sleepers  int    // additional workers that sleep when the run begins
	Idle      int    // workers that sleep on a function of their own without jobs
	Payload   int    // size of arguments in bytes, at least MinPayload
	Result    int    // size of results in bytes; 0 = Payload
	Connect   bool   // clients open a connection for each job, and close it after the result
	Unique    bool   // each job has its own unique id; otherwise none
	Grab      codec.Type
	Rate      float64 // jobs due per second, of all clients together; 0 = closed loop
	Loops     int     // event loops of the generator; 0 = one
}

// Check sets defaults and validates the rest.
func (c *Config) Check() error {
	if c.Mode == "" {
		c.Mode = Foreground
	}
	if c.Result == 0 {
		c.Result = c.Payload
	}
	if c.Grab == 0 {
		c.Grab = codec.GrabJob
	}
	if c.Abilities == 0 {
		c.Abilities = c.Functions
	}
	c.Loops = max(c.Loops, 1)
	switch c.Mode {
	case Foreground, Background, Echo:
	default:
		return fmt.Errorf("unknown mode %q", c.Mode)
	}
	if c.Function == "" || len(c.Function) > maxName {
		return fmt.Errorf("the function's name has %d bytes: it must be from 1 to %d", len(c.Function), maxName)
	}
	for _, f := range []struct {
		name          string
		value         int
		lowest, limit int
	}{
		{"functions", c.Functions, 1, 131_072},
		{"clients", c.Clients, 1, 1_000_000},
		{"depth", c.Depth, 1, 1_000_000},
		{"workers", c.Workers, 0, 1_000_000},
		{"abilities", c.Abilities, 1, c.Functions},
		{"sleepers", c.Sleepers, 0, 1_000_000},
		{"idle", c.Idle, 0, 1_000_000},
		{"payload", c.Payload, MinPayload, maxPayload},
		{"result", c.Result, MinPayload, maxPayload},
		{"loops", c.Loops, 1, 1024},
	} {
		if f.value < f.lowest || f.value > f.limit {
			return fmt.Errorf("%s is %d: it must be from %d to %d", f.name, f.value, f.lowest, f.limit)
		}
	}
	switch {
	case c.Mode != Echo && c.Workers == 0:
		return fmt.Errorf("workers is 0: somebody must do the jobs")
	case c.Mode != Echo && c.Workers*c.Abilities < c.Functions:
		return fmt.Errorf("%d workers with %d of %d functions each: nobody would do the rest", c.Workers, c.Abilities, c.Functions)
	case c.Mode == Background && c.Sleepers > 0:
		return fmt.Errorf("sleepers would do the jobs while they are submitted: with background there can be idle ones only")
	case c.Rate < 0 || c.Rate > 1e8:
		return fmt.Errorf("rate is %g: it must be from 0 to 100000000", c.Rate)
	}
	if c.Connect && (c.Mode == Background || c.Rate > 0 || c.Depth != 1) {
		return fmt.Errorf("a connection for each job goes with one job in flight for each client, in a closed loop, and not with background")
	}
	switch c.Grab {
	case codec.GrabJob, codec.GrabJobUniq, codec.GrabJobAll:
	default:
		return fmt.Errorf("%s asks for no job", c.Grab)
	}
	return nil
}

// functionNames returns the names of all functions.
func (c *Config) functionNames() []string {
	if c.Functions == 1 {
		return []string{c.Function}
	}
	names := make([]string, c.Functions)
	for i := range names {
		names[i] = fmt.Sprintf("%s%d", c.Function, i)
	}
	return names
}
