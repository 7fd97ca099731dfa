package sched

// Outcome says how a job ended.
type Outcome uint8

const (
	Complete        Outcome     = iota // WORK_COMPLETE
	Fail                               // WORK_FAIL
	Exception                          // WORK_EXCEPTION, and nothing better after it
	Timeout                            // its worker ran out of time (CAN_DO_TIMEOUT)
	WorkerLost                         // its worker's connection ended, or the worker gave the function up
	Cancelled                          // an administrator took it back
	Evicted                            // maxqueue: it was the newest of too many
	FunctionDropped                    // an administrator dropped its function
	Unwanted                           // all its clients had gone before a worker got it
	NotStored                          // the store could not keep it, and nobody listens
	Disowned                           // another broker has it now
	Unreadable                         // the store could not read its argument; it is there again after the next start
	Outcomes        = int(iota)        // how many there are
)

var outcomeNames = [Outcomes]string{
	"complete", "fail", "exception", "timeout", "worker_lost", "cancelled",
	"evicted", "function_dropped", "unwanted", "not_stored", "disowned", "unreadable",
}

// String returns the outcome in lower case with underscores, as a metric's label has it.
func (o Outcome) String() string { return outcomeNames[o] }
