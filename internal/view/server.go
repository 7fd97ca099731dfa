package view

import (
	"fmt"
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"gearloop/api"
	"gearloop/internal/histogram"
	"gearloop/reactor"
	"gearloop/sched"
)

// patience is how long a request waits for the loops' descriptions of connections.
const patience = time.Second

// state returns the phase of the broker's life.
func (s *Source) state() string {
	if s.cfg.Server == nil {
		return api.Ready
	}
	switch s.cfg.Server.Phase() {
	case reactor.Starting:
		return api.Starting
	case reactor.Draining:
		return api.Draining
	case reactor.Ending:
		return api.Ending
	}
	return api.Ready
}

// listeners returns the addresses of the Gearman port, and those of Config.
func (s *Source) listeners() (all []api.Listener) {
	if s.cfg.Server != nil {
		for _, d := range s.cfg.Server.Doors() {
			all = append(all, api.Listener{Address: d.Address, Kind: d.Kind})
		}
	}
	return append(all, s.cfg.Listeners...)
}

// Loops returns the event loops.
func (s *Source) Loops() []api.Loop {
	all := []api.Loop{}
	for i, l := range s.LoopStats() {
		all = append(all, api.Loop{
			Index: i, Running: l.Running, Connections: l.Connections, Turns: api.Count(l.Turns), Reads: api.Count(l.Reads), Packets: api.Count(l.Packets),
			Writes: api.Count(l.Writes), Mail: api.Count(l.MailItems), Lag: l.LastLag.Seconds(), Buffered: l.Buffered,
			LagP99: l.Lag.Seconds(histogram.Turns, .99), TurnP99: l.Turn.Seconds(histogram.Turns, .99),
		})
	}
	return all
}

// LoopStats returns the event loops' statistics.
func (s *Source) LoopStats() []reactor.LoopStats {
	if s.cfg.Server == nil {
		return nil
	}
	return s.cfg.Server.Loops()
}

// Reactor returns the server whose sockets are shown, or nil.
func (s *Source) Reactor() *reactor.Server { return s.cfg.Server }

// Sched returns the scheduler that is shown.
func (s *Source) Sched() *sched.Sched { return s.cfg.Sched }

// Memory returns the use of memory.
func (s *Source) Memory() api.Memory {
	m := api.Memory{Limit: s.cfg.MemoryLimit, Parts: s.memoryParts(), RSS: resident()}
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	m.Heap = int64(sample[0].Value.Uint64())
	return m
}

// memoryParts returns the bytes that count against --max-memory, by purpose.
func (s *Source) memoryParts() map[string]int64 {
	parts := map[string]int64{"jobs": s.cfg.Sched.Memory()}
	if s.cfg.Server != nil {
		parts["reading"], parts["output"] = s.cfg.Server.Memory()
	}
	return parts
}

// resident returns the resident memory of the process, in bytes; 0 if the system does not say.
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// Options returns the settings in effect.
func (s *Source) Options() []api.Option {
	if s.cfg.Options == nil {
		return []api.Option{}
	}
	return s.cfg.Options()
}

// Server describes the broker; the caller fills in role and read-only.
func (s *Source) Server() api.Server {
	now := s.cfg.Now()
	return api.Server{
		Version: s.cfg.Version, Go: runtime.Version(), Dialect: s.cfg.Dialect, Host: s.cfg.Host, PID: s.cfg.PID,
		State: s.state(), Started: s.cfg.Started.UTC(), Now: now.UTC(), Uptime: now.Sub(s.cfg.Started).Seconds(),
		Listeners: s.listeners(), Totals: s.Totals(), Attention: s.attention(),
	}
}

// stuckAfter is how long a loop, or a lock of the scheduler, may not answer before it counts as stuck.
const stuckAfter = 10 * time.Second

// Alive returns why the process should be restarted, or nil: an event loop or a lock has not answered for
// stuckAfter. It returns at once.
func (s *Source) Alive() error {
	if s.cfg.Server != nil {
		if stuck := s.cfg.Server.Stuck(); stuck > stuckAfter {
			return fmt.Errorf("an event loop has not answered for %s", stuck.Round(time.Second))
		}
	}
	if at := s.locksTaken.Load(); at != nil {
		if stuck := s.cfg.Now().Sub(*at); stuck > stuckAfter {
			return fmt.Errorf("the scheduler has not answered for %s", stuck.Round(time.Second))
		}
	}
	return nil
}

// Condition is one of the conditions for readiness.
type Condition struct {
	Name   string
	OK     bool
	Needed bool // the broker is not ready without it
	Text   string
}

// Ready returns the conditions, and whether all needed ones hold.
func (s *Source) Ready() (all []Condition, ready bool) {
	state := s.state()
	all = []Condition{
		{"listening", state != api.Starting, true, state},
		{"not_draining", state != api.Draining && state != api.Ending, true, state},
	}
	if d := s.store.Load(); d != nil {
		c := Condition{"store", true, false, "background jobs are stored"}
		if err := (*d).Stats().Failed; err != nil {
			// Anybody may ask. The error may name a path or the database; GET store shows it, and the log has it.
			c.OK, c.Text = false, "background jobs can't be stored"
		}
		all = append(all, c)
	}
	ready = true
	for _, c := range all {
		ready = ready && (c.OK || !c.Needed)
	}
	return all, ready
}
