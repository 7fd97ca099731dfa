package postgres

import (
	"context"
	"time"

	"gearloop/store"
)

// Options say how a database is used.
type Options struct {
	// URL is that of the database, such as postgres://user@h1,h2,h3/gearloop. Of several hosts the one that takes
	// writes is used.
	URL string

	// Node tells brokers apart, for operators; two with the same name do no harm.
	Node string

	// Address is where other brokers reach this one, as HOST:PORT.
	Address string

	// MaxQueued is how many bytes may wait to be stored; 0 is 64 MiB. A job is always taken when nothing waits.
	MaxQueued int64

	// Ask returns what another broker answers to requests, in their order. It is called by one goroutine at a time for
	// each Peer. nil: nobody is asked, and of other brokers' jobs only the table tells.
	Ask func(ctx context.Context, to Peer, requests []Request) ([]store.Status, error)

	// Fault, if not nil, is called when jobs can't be stored any more, and with nil when they can again.
	Fault func(error)

	// Event, if not nil, is called for each line that belongs in the log.
	Event func(Event)

	// Ready, if not nil, is called each time the engine has got a place among the brokers, before it reports any job.
	Ready func()

	Beat     time.Duration // between two beats; 0 is 2 s
	Lease    time.Duration // for how long a beat lets stored jobs be handed out; 0 is 8 s
	Takeover time.Duration // without a beat until others take over; 0 is 10 s
	Patience time.Duration // for how long jobs wait for a database that is away before they are refused; 0 is 10 s

	guest bool // it takes over from nobody: see Importer

	// What tests set.
	large      int                     // store.LargeArgument
	callLimit  time.Duration           // of one call; 0: what is left of Patience
	retryEvery time.Duration           // attempts to reach the database
	lazyFor    time.Duration           // longest time until an end is written
	sweepEvery time.Duration           // between two looks for runs without jobs
	before     func(call string) error // asked ahead of each call that changes something
	after      func(call string) error // asked behind it: its error stands for a reply that is lost
	beating    func() error            // asked ahead of each beat
}

// Event is a line for the log.
type Event struct {
	Kind    Kind
	Warning bool
	Text    string
	Details []any // names and values in turn
}

// Kind is a change of a broker's state in the cluster.
type Kind uint8

// The kinds. Activity.Events counts them.
const (
	Other     Kind = iota
	Connected      // the connection for batches is open
	Lost           // that connection has broken
	Suspended      // the lease is over: no stored job is handed out
	Resumed        // the lease goes on
	Disowned       // another broker has taken the runs over
	TookOver       // this broker has read all jobs of another one's run
	kinds     = iota
)

var kindNames = [kinds]string{"other", "connected", "lost", "suspended", "resumed", "disowned", "took_over"}

func (k Kind) String() string { return kindNames[k] }

// Kinds is the number of kinds.
const Kinds = int(kinds)

const (
	batchJobs  = 512     // of one batch, at most
	batchBytes = 4 << 20 // from which on a batch takes no further job
	lazyMost   = 8192    // ends that wait at most until they are written without a job that comes along
	pieceSize  = 1 << 20 // of a large argument, in arg
)

func (o *Options) setDefaults() {
	for _, d := range []struct {
		at    *time.Duration
		value time.Duration
	}{
		{&o.Beat, 2 * time.Second}, {&o.Lease, 8 * time.Second}, {&o.Takeover, 10 * time.Second}, {&o.Patience, 10 * time.Second},
		{&o.retryEvery, time.Second}, {&o.lazyFor, 50 * time.Millisecond}, {&o.sweepEvery, 30 * time.Second},
	} {
		if *d.at == 0 {
			*d.at = d.value
		}
	}
	if o.MaxQueued == 0 {
		o.MaxQueued = 64 << 20
	}
	if o.large == 0 {
		o.large = store.LargeArgument
	}
}
