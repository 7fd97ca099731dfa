package monitor

import (
	"context"
	"path"
	"time"

	"gearloop/api"
)

// Source is a server that is looked at.
type Source interface {
	// Server returns what is known of the server as a whole.
	Server(ctx context.Context) (api.Server, error)
	// Functions returns the functions that match a pattern with * and ?, "" = all, by name.
	Functions(ctx context.Context, match string) ([]api.Function, error)
	// Connections returns the connections, workers only if that is asked for.
	Connections(ctx context.Context, workersOnly bool) ([]api.Connection, error)
	// Jobs returns jobs that match, limit at most.
	Jobs(ctx context.Context, filter api.JobFilter, limit int) (jobs []api.Job, more bool, err error)
	// Has reports whether the source knows what a column shows.
	Has(Knowledge) bool
	// String names the server.
	String() string
	Close()
}

// Knowledge is what only some sources have.
type Knowledge uint8

// The kinds of knowledge.
const (
	Priorities Knowledge = iota // waiting jobs by priority
	Ages                        // how long jobs wait and run
	Rates                       // counters, from which rates are made
	States                      // of workers: asleep, busy; of functions: paused
	Handles                     // of jobs
)

// matches reports whether a name matches a pattern, or contains it if it is none.
func matches(pattern, name string) bool {
	if pattern == "" {
		return true
	}
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

// snapshot is what a screen shows at a moment.
type snapshot struct {
	at        time.Time
	server    api.Server
	functions []api.Function
	workers   []api.Connection
}
