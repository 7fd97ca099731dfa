package api

import "time"

// Actions are POSTs with a JSON body, which may be empty. All take a reason, for the audit log.

// Pause is the body of POST functions/{name}/pause and …/close.
type Pause struct {
	Reason string     `json:"reason,omitempty"`
	Until  *time.Time `json:"until,omitempty"` // absent: until somebody resumes it
}

// Reason is the body of actions that need nothing else.
type Reason struct {
	Reason string `json:"reason,omitempty"`
}

// SetPriority is the body of POST jobs/{handle}/priority.
type SetPriority struct {
	Reason   string `json:"reason,omitempty"`
	Priority string `json:"priority"` // high, normal, low
}

// Purge is the body of POST functions/{name}/purge: the jobs that wait end. With DryRun they are counted; the
// AsOf of the answer, sent back without it, ends those that were counted and none that came later.
type Purge struct {
	Reason string     `json:"reason,omitempty"`
	AsOf   *time.Time `json:"as_of,omitempty"` // jobs submitted later stay; absent: now
	DryRun bool       `json:"dry_run,omitempty"`
}

// Purged answers Purge.
type Purged struct {
	Changed bool      `json:"changed"`
	Count   int       `json:"count"` // jobs that have ended; with DryRun those that would have
	AsOf    time.Time `json:"as_of"`
	DryRun  bool      `json:"dry_run,omitempty"`
}

// Submit is the body of POST functions/{name}/jobs: a background job.
type Submit struct {
	Reason         string     `json:"reason,omitempty"`
	Unique         string     `json:"unique,omitempty"`
	UniqueBase64   []byte     `json:"unique_base64,omitempty"`
	Priority       string     `json:"priority,omitempty"` // "" is normal
	Due            *time.Time `json:"due,omitempty"`
	Argument       string     `json:"argument,omitempty"`
	ArgumentBase64 []byte     `json:"argument_base64,omitempty"`
}

// Submitted answers Submit once the job is acknowledged.
type Submitted struct {
	Handle string `json:"handle"`
}

// Done answers an action.
type Done struct {
	Changed bool `json:"changed"` // false: it was so already
	Count   int  `json:"count"`   // objects that it changed
}

// Operation is a bulk action on all jobs that a filter means, frozen in time: jobs submitted after AsOf are
// not touched. POST operations with DryRun counts them and does nothing. Without it they are counted, too,
// and more than 100 are acted on only if Confirm is no less than their number. GET operations/{id} shows how
// far it is, POST operations/{id}/stop and DELETE operations/{id} stop it: what it has done by then stays. An
// operation ends with the process.
type Operation struct {
	ID       string     `json:"id,omitempty"`
	Action   string     `json:"action"` // cancel, give_up, take_back, front, priority; each only in the states it is for
	Filter   JobFilter  `json:"filter"`
	Priority string     `json:"priority,omitempty"`
	AsOf     *time.Time `json:"as_of,omitempty"` // absent: now
	DryRun   bool       `json:"dry_run,omitempty"`
	Confirm  *int       `json:"confirm,omitempty"`
	Reason   string     `json:"reason,omitempty"`

	// What follows is the server's to say; it is ignored in a request.
	State     string     `json:"state,omitempty"` // counted, running, done, stopped
	Matched   int        `json:"matched"`         // jobs meant when they were counted
	Changed   int        `json:"changed"`         // of these, jobs that it has acted on
	Skipped   int        `json:"skipped"`         // jobs that it came to that were so already, or had gone on when their turn came
	Remaining int        `json:"remaining"`       // jobs still to come to; those that end or begin to run meanwhile are never come to
	Looked    int        `json:"looked_at"`       // jobs looked at, those that are not meant included
	By        string     `json:"by,omitempty"`
	Started   *time.Time `json:"started,omitempty"`
	Finished  *time.Time `json:"finished,omitempty"`
}

// States of an operation.
const (
	OperationCounted = "counted" // a dry run
	OperationRunning = "running"
	OperationDone    = "done"
	OperationStopped = "stopped"
)

// JobFilter selects jobs: those that match every field that is set. The fields are query parameters of GET
// jobs under the same names.
type JobFilter struct {
	Function       string   `json:"function,omitempty"` // a name, or a pattern with * and ?
	FunctionBase64 []byte   `json:"function_base64,omitempty"`
	State          string   `json:"state,omitempty"`
	Priority       string   `json:"priority,omitempty"`
	Unique         string   `json:"unique,omitempty"`
	UniqueBase64   []byte   `json:"unique_base64,omitempty"`
	UniquePrefix   string   `json:"unique_prefix,omitempty"` // what the unique id begins with
	OlderThan      *float64 `json:"older_than_seconds,omitempty"`
	Worker         string   `json:"worker,omitempty"`   // id of a connection
	Argument       string   `json:"argument,omitempty"` // contained in the argument; role reader
	ArgumentBase64 []byte   `json:"argument_base64,omitempty"`
}
