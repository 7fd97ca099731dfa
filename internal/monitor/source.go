package monitor

import (
	"context"
	"time"

	"gearloop/api"
	"gearloop/internal/glob"
)

// Source is a server to look at.
type Source interface {
	// Server returns the totals of the server.
	Server(ctx context.Context) (api.Server, error)
	// Functions returns the functions that match a pattern with * and ? ("" = all), by name.
	Functions(ctx context.Context, match string) ([]api.Function, error)
	// Connections returns the connections, or only the workers.
	Connections(ctx context.Context, workersOnly bool) ([]api.Connection, error)
	// Top returns the content of a screen: the first rows of an order, and the number of all.
	Top(ctx context.Context, q TopQuery) (*snapshot, error)
	// Jobs returns at most limit matching jobs.
	Jobs(ctx context.Context, filter api.JobFilter, limit int) (jobs []api.Job, more bool, err error)
	// Has reports whether the source knows what a column shows.
	Has(Knowledge) bool
	// String names the server.
	String() string
	Close()
}

// Knowledge is something that only some sources know.
type Knowledge uint8

// The kinds of knowledge.
const (
	Priorities Knowledge = iota // waiting jobs by priority
	Ages                        // how long jobs have waited and run
	Rates                       // counters, from which rates are computed
	States                      // of workers: asleep, busy; of functions: paused
	Handles                     // of jobs
)

// matches reports whether a name matches a pattern, as in a query to the API. "" matches every name.
func matches(pattern, name string) bool {
	p := glob.New(pattern)
	return p.Match(name)
}

// TopQuery selects the content of a screen.
type TopQuery struct {
	view    int
	order   string // by name; "" = the first
	reverse bool
	filter  string // part of the name, or a pattern with * and ?
}

// snapshot is the data of a screen at a moment.
type snapshot struct {
	query     TopQuery
	at        time.Time
	server    api.Server
	functions []api.Function
	workers   []api.Connection
	loops     []api.Loop
	total     int // number of rows, of which these are the first
}
