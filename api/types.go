package api

import "time"

// States of a server.
const (
	Starting = "starting" // the store is being loaded
	Ready    = "ready"
	Draining = "draining" // no new connections; it ends once no job is left
	Ending   = "ending"
)

// Server is GET server: the broker as a whole.
type Server struct {
	Version   string     `json:"version"`
	Go        string     `json:"go"`
	Dialect   string     `json:"dialect"` // "perl" or "c"
	Host      string     `json:"host"`
	PID       int        `json:"pid"`
	State     string     `json:"state"`
	Started   time.Time  `json:"started"`
	Uptime    float64    `json:"uptime_seconds"`
	Now       time.Time  `json:"now"`
	Listeners []Listener `json:"listeners"`
	Totals    Totals     `json:"totals"`
	Attention []Concern  `json:"attention"` // what is wrong, worst first
	Role      string     `json:"role"`      // of who asks
	ReadOnly  bool       `json:"read_only"` // no action is possible, whoever asks
}

// Listener is an address that the broker listens on.
type Listener struct {
	Address string `json:"address"`
	Kind    string `json:"kind"` // tcp, tls, unix, http, web, admin
}

// Totals are sums over all functions. What is counted since the start ends in Total.
type Totals struct {
	Functions   int   `json:"functions"`
	Waiting     int   `json:"waiting"` // jobs that a worker could get
	Delayed     int   `json:"delayed"` // jobs whose time has not come
	Storing     int   `json:"storing"` // jobs that are not acknowledged yet
	Running     int   `json:"running"`
	Connections int   `json:"connections"`
	Workers     int   `json:"workers"` // connections that can do a function
	Asleep      int   `json:"asleep"`  // workers that wait for NOOP
	Memory      int64 `json:"memory_bytes"`
	MemoryLimit int64 `json:"memory_limit_bytes"` // 0 = none

	Submitted Count            `json:"submitted_total"`
	Coalesced Count            `json:"coalesced_total"`
	HandedOut Count            `json:"handed_out_total"`
	Ended     map[string]Count `json:"ended_total"`   // by outcome
	Refused   map[string]Count `json:"refused_total"` // submissions, by reason
}

// Concern is something that needs attention.
type Concern struct {
	Kind           string   `json:"kind"` // no_workers, oldest_waiting, failing, paused, closed, store, cluster, memory, certificate, slots
	Function       string   `json:"function,omitempty"`
	FunctionBase64 []byte   `json:"function_base64,omitempty"`
	Text           string   `json:"text"` // one sentence
	Since          *Instant `json:"since,omitempty"`
}

// Instant is a moment, and how long ago it was when the answer was made.
type Instant struct {
	At  time.Time `json:"at"`
	Ago float64   `json:"ago_seconds"`
}

// Function is GET functions/{name}, and an item of GET functions.
type Function struct {
	Name       string `json:"name"`
	NameBase64 []byte `json:"name_base64,omitempty"`

	Total   int `json:"total"`   // waiting, delayed, storing and running, as "status" has it
	Waiting int `json:"waiting"` // jobs that a worker could get
	High    int `json:"waiting_high"`
	Normal  int `json:"waiting_normal"`
	Low     int `json:"waiting_low"`
	Delayed int `json:"delayed"`
	Running int `json:"running"`
	Workers int `json:"workers"` // connections that can do it
	Asleep  int `json:"asleep"`
	Busy    int `json:"busy"` // its workers that have a job, of any function

	OldestWaiting float64  `json:"oldest_waiting_seconds"` // 0 when nothing waits
	MaxQueue      []int    `json:"max_queue,omitempty"`    // high, normal, low; absent = no bound; -1 = none for this one
	Paused        *Setting `json:"paused,omitempty"`       // no job is handed out
	Closed        *Setting `json:"closed,omitempty"`       // no submission is taken

	Submitted  Count            `json:"submitted_total"`
	Background Count            `json:"submitted_background_total"` // of those
	Coalesced  Count            `json:"coalesced_total"`
	HandedOut  Count            `json:"handed_out_total"`
	PutBack    Count            `json:"put_back_total"`
	HeldBack   Count            `json:"held_back_total"` // kept from workers by a pause; once for each pause
	Ended      map[string]Count `json:"ended_total"`     // by outcome

	// Jobs ended per second: in the last half minute while somebody looks at functions, else as long as Lately.
	// Absent where that is less than a second.
	Rate   *float64 `json:"ended_per_second,omitempty"`
	Lately *Lately  `json:"lately,omitempty"`
	// The last minutes, where the server keeps them for this function: jobs ended in each 5 s, oldest first.
	Recent []int `json:"recent,omitempty"`
}

// Lately is what a function did in the last 5 to 10 minutes, or since the start if that is later.
type Lately struct {
	Seconds  float64          `json:"seconds"` // how long that is
	Ended    Count            `json:"ended"`
	Failed   map[string]Count `json:"failed"`                     // of these: fail, exception, timeout and worker_lost, without zeros
	Wait     *Quantiles       `json:"wait_seconds,omitempty"`     // from submission, or when it was due or put back, until a worker got it
	Run      *Quantiles       `json:"run_seconds,omitempty"`      // from then until the worker ended or lost it
	Duration *Quantiles       `json:"duration_seconds,omitempty"` // from submission to the end
}

// Quantiles are those of some jobs' times. They are absent where the server keeps no times of the function
// (--metrics-histograms), and where no job had such a time.
type Quantiles struct {
	Jobs Count   `json:"jobs"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
}

// Setting is a switch that an operator has set on a function.
type Setting struct {
	By     string     `json:"by"`
	Since  time.Time  `json:"since"`
	Until  *time.Time `json:"until,omitempty"`
	Reason string     `json:"reason,omitempty"`
}

// States of a job.
const (
	JobWaiting = "waiting"
	JobDelayed = "delayed"
	JobStoring = "storing"
	JobRunning = "running"
	JobShelved = "shelved" // kept for the next start: the server is ending
)

// Job is GET jobs/{handle}, and an item of GET jobs.
type Job struct {
	Handle         string `json:"handle"`
	Function       string `json:"function"`
	FunctionBase64 []byte `json:"function_base64,omitempty"`
	Unique         string `json:"unique,omitempty"` // unique id as workers see it
	UniqueBase64   []byte `json:"unique_base64,omitempty"`
	State          string `json:"state"`
	Priority       string `json:"priority"` // high, normal, low
	Background     bool   `json:"background"`
	Stored         bool   `json:"stored"`  // on disk: it outlives the process
	Retries        int    `json:"retries"` // workers that lost it
	Listeners      int    `json:"listeners"`
	ArgumentSize   int    `json:"argument_size"`

	Submitted   *time.Time `json:"submitted,omitempty"` // absent for a job of an earlier run whose time is not stored
	Queued      *time.Time `json:"queued,omitempty"`    // of a waiting job: since when, as it was submitted, due or put back
	Due         *time.Time `json:"due,omitempty"`       // delayed
	HandedOut   *time.Time `json:"handed_out,omitempty"`
	Deadline    *time.Time `json:"deadline,omitempty"` // of a running job
	Worker      *PeerRef   `json:"worker,omitempty"`
	Numerator   string     `json:"numerator,omitempty"` // of the last WORK_STATUS
	Denominator string     `json:"denominator,omitempty"`
	Ahead       *int       `json:"ahead,omitempty"` // waiting jobs that come first; GET jobs/{handle} only, absent beyond what was counted

	// The first connections that wait for it; GET jobs/{handle} only. Who submitted a background job is not kept.
	Clients []PeerRef `json:"clients,omitempty"`
}

// PeerRef names a connection.
type PeerRef struct {
	ID       string `json:"id"` // as in connections/{id}
	Address  string `json:"address"`
	ClientID string `json:"client_id,omitempty"`

	ClientRaw []byte `json:"client_id_base64,omitempty"`
}

// Argument is GET jobs/{handle}/argument: the beginning of a job's argument. ?raw gives all of it as
// application/octet-stream.
type Argument struct {
	Argument       string `json:"argument,omitempty"`
	ArgumentBase64 []byte `json:"argument_base64,omitempty"`
	Size           int    `json:"argument_size"`
	Truncated      bool   `json:"argument_truncated"`
}

// Cause is one reason why a job, or a function's jobs, are not handed out.
type Cause struct {
	Kind  string     `json:"kind"`
	Text  string     `json:"text"` // one sentence, with who and since when
	Since *time.Time `json:"since,omitempty"`
	Until *time.Time `json:"until,omitempty"`
	Peer  *PeerRef   `json:"peer,omitempty"`
	Count int        `json:"count,omitempty"` // workers or jobs, as the kind has it
}

// Kinds of causes, in the order in which they are looked for. The first that holds is the answer; those
// behind it that hold too follow.
const (
	CauseDraining   = "draining"
	CausePaused     = "paused"
	CauseClosed     = "closed"
	CauseDelayed    = "delayed"
	CauseStoring    = "storing"
	CauseStoreFails = "store_fails"
	CauseShelved    = "shelved"
	CauseBehind     = "behind"      // jobs that come first
	CauseNoWorkers  = "no_workers"  // no connection can do the function
	CauseAllBusy    = "all_busy"    // all of its workers have jobs
	CauseWoken      = "woken"       // NOOP was sent, and no GRAB_JOB has come
	CauseAsleep     = "asleep"      // workers sleep, and NOOP was or will be sent to others first
	CauseNotAsking  = "not_asking"  // a worker is awake and does not ask: it may hang
	CauseUnwanted   = "unwanted"    // all its clients have gone: it will be dropped
	CauseRunning    = "running"     // a worker has it
	CauseNothing    = "nothing"     // a function without waiting jobs; count of them are running
	CauseUnknownJob = "unknown_job" // no such job: it has ended, or never was
)

// Explanation is GET jobs/{handle}/explain and GET functions/{name}/explain.
type Explanation struct {
	Function       string  `json:"function"`
	FunctionBase64 []byte  `json:"function_base64,omitempty"`
	Handle         string  `json:"handle,omitempty"`
	State          string  `json:"state,omitempty"`
	Causes         []Cause `json:"causes"` // at least one
}

// Connection is an item of GET connections.
type Connection struct {
	ID        string    `json:"id"` // unique for the life of the process
	Address   string    `json:"address"`
	Listener  string    `json:"listener"`
	TLS       bool      `json:"tls"`
	ClientID  string    `json:"client_id,omitempty"`
	ClientRaw []byte    `json:"client_id_base64,omitempty"`
	Subject   string    `json:"subject,omitempty"` // of its client certificate
	Since     time.Time `json:"since"`

	State        string   `json:"state"`               // client, asleep, woken, awake, busy
	Functions    []string `json:"functions,omitempty"` // the first 64 that it can do, those that are UTF-8
	FunctionsAll int      `json:"functions_count"`
	Jobs         int      `json:"jobs"`           // that it has in hand
	Job          string   `json:"job,omitempty"`  // handle of one of these, the oldest as far as is known
	Asleep       float64  `json:"asleep_seconds"` // that it has waited for NOOP; 0: it does not
	Oldest       float64  `json:"oldest_seconds"` // that it has had the oldest
	Listening    int      `json:"listening"`      // submissions that it waits for
	Done         Count    `json:"done_total"`     // jobs that it ended with WORK_COMPLETE
	Failed       Count    `json:"failed_total"`   // jobs that it failed, or did not finish in time
	Received     Count    `json:"received_bytes_total"`
	Sent         Count    `json:"sent_bytes_total"`
	Buffered     int      `json:"buffered_bytes"` // output that it has not taken
	LastAsked    *Instant `json:"last_asked,omitempty"`

	FunctionsBase64 [][]byte `json:"functions_base64,omitempty"` // those of the first 64 that are not UTF-8
}

// Loop is an item of GET loops: one event loop.
type Loop struct {
	Index       int     `json:"index"`
	Running     bool    `json:"running"` // false: another loop serves its connections, as there is little to do
	Connections int     `json:"connections"`
	Turns       Count   `json:"turns_total"`
	Reads       Count   `json:"reads_total"`
	Packets     Count   `json:"packets_total"`
	Writes      Count   `json:"writes_total"`
	Mail        Count   `json:"mail_total"`
	Lag         float64 `json:"lag_seconds"` // age of the last stamp when the loop took it
	LagP99      float64 `json:"lag_p99_seconds"`
	TurnP99     float64 `json:"turn_p99_seconds"`
	Buffered    int64   `json:"buffered_bytes"`
}

// Network is GET network: what is counted of all connections since the start.
type Network struct {
	Descriptors  Descriptors      `json:"descriptors"`
	Certificates []Certificate    `json:"certificates"`
	Accepted     map[string]Count `json:"accepted_total"`   // connections, by listener
	Closed       map[string]Count `json:"closed_total"`     // connections, by reason
	Errors       map[string]Count `json:"errors_total"`     // ERROR packets sent, by code
	Handshakes   map[string]Count `json:"handshakes_total"` // of TLS, by result
	Received     Count            `json:"received_bytes_total"`
	Sent         Count            `json:"sent_bytes_total"`
}

// Descriptors are the file descriptors of the process, as they were up to a second ago.
type Descriptors struct {
	Used  int64 `json:"used"` // 0: the system does not say
	Limit int64 `json:"limit"`
}

// Certificate is a file of certificates, with the time at which the first of them expires.
type Certificate struct {
	File    string    `json:"file,omitempty"` // not for viewers
	Expires time.Time `json:"expires"`
}

// Memory is GET memory, in bytes.
type Memory struct {
	Limit int64            `json:"limit_bytes"` // 0 = none
	Parts map[string]int64 `json:"parts"`       // jobs, workers, reading, output, …
	Heap  int64            `json:"heap_bytes"`
	RSS   int64            `json:"resident_bytes"`
}

// Store is GET store. It is 404 for a broker without one.
type Store struct {
	Engine    string `json:"engine"` // disk
	Directory string `json:"directory,omitempty"`
	Sync      string `json:"sync"` // always, interval=…, none
	Up        bool   `json:"up"`
	Error     string `json:"error,omitempty"`
	Jobs      int    `json:"jobs"`
	Live      int64  `json:"live_bytes"`
	Disk      int64  `json:"disk_bytes"`
	Queued    int64  `json:"queued_bytes"`
	Free      int64  `json:"free_bytes"`
	Segments  int    `json:"segments"`
	Written   Count  `json:"written_bytes_total"`
	Failures  Count  `json:"failures_total"`
	// FailuresBy splits Failures by operation: write, sync, argument, read and retry.
	FailuresBy map[string]Count `json:"failures_by_operation"`
	SyncP50    float64          `json:"sync_p50_seconds"`
	SyncP99    float64          `json:"sync_p99_seconds"`
	LoadTime   float64          `json:"load_seconds"`
	FailingAt  *Instant         `json:"failing_since,omitempty"`
}

// Option is an item of GET options: a setting in force and where it comes from.
type Option struct {
	Name   string `json:"name"`
	Value  string `json:"value"`  // secrets are not shown
	Source string `json:"source"` // default, flag, environment, or FILE:LINE
}

// AuditEntry is an item of GET audit: an action that somebody asked for, newest first.
type AuditEntry struct {
	At     time.Time `json:"at"`
	By     string    `json:"by"` // the token's name, the certificate's, or the address
	Role   string    `json:"role"`
	Action string    `json:"action"`
	Target string    `json:"target,omitempty"`
	Reason string    `json:"reason,omitempty"`
	Result string    `json:"result"` // ok, or the problem's title
	Count  int       `json:"count,omitempty"`
}

// Page is a part of a list.
type Page[T any] struct {
	Items  []T       `json:"items"`
	Next   string    `json:"next,omitempty"`  // cursor of the next page; absent at the end
	Looked int       `json:"looked_at"`       // objects that were looked at for this page
	Total  *int      `json:"total,omitempty"` // objects there are, where that is known at once
	AsOf   time.Time `json:"as_of"`
}

// History is GET history: what the broker was like at moments of the past, the oldest first. Steps are
// 1 s for ten minutes, 10 s for six hours or 300 s for seven days. A step that the broker was not there for,
// or did not get to, is missing.
type History struct {
	Step   int                  `json:"step_seconds"`
	Times  []int64              `json:"times"`  // ends of the steps, in seconds since 1970
	Series map[string][]float64 `json:"series"` // by name, as many values as there are times
}

// Names of the series of History. What is counted is per second, what is a state is the mean over the step.
const (
	SeriesSubmitted   = "submitted"
	SeriesHandedOut   = "handed_out"
	SeriesEnded       = "ended"
	SeriesFailed      = "failed" // of those that ended: fail, exception, timeout, worker_lost
	SeriesRefused     = "refused"
	SeriesReceived    = "received_bytes"
	SeriesSent        = "sent_bytes"
	SeriesWaiting     = "waiting"
	SeriesDelayed     = "delayed"
	SeriesRunning     = "running"
	SeriesConnections = "connections"
	SeriesWorkers     = "workers"
	SeriesAsleep      = "asleep"
	SeriesMemory      = "memory_bytes"
	SeriesWaitP50     = "wait_p50_seconds"
	SeriesWaitP99     = "wait_p99_seconds"
	SeriesRunP99      = "run_p99_seconds"
	SeriesLagP99      = "lag_p99_seconds" // of event loops
	SeriesSyncP99     = "sync_p99_seconds"
)
