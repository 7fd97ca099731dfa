package sched

// Outcome is how a job ended.
type Outcome uint8

const (
	Complete        Outcome     = iota // WORK_COMPLETE
	Fail                               // WORK_FAIL
	Exception                          // WORK_EXCEPTION without a later result
	Timeout                            // its worker ran out of time (CAN_DO_TIMEOUT)
	WorkerLost                         // its worker's connection ended, or the worker unregistered the function
	Cancelled                          // an administrator cancelled it
	Evicted                            // maxqueue: it was the newest of too many
	FunctionDropped                    // an administrator dropped its function
	Unwanted                           // all its clients had gone before a worker got it
	NotStored                          // the store could not keep it, and nobody listens
	Disowned                           // another broker has it now
	Unreadable                         // the store could not read its argument; it returns with the next start
	Outcomes        = int(iota)        // number of outcomes
)

var outcomeNames = [Outcomes]string{
	"complete", "fail", "exception", "timeout", "worker_lost", "cancelled",
	"evicted", "function_dropped", "unwanted", "not_stored", "disowned", "unreadable",
}

// String returns the value of the metric's label: lower case with underscores.
func (o Outcome) String() string { return outcomeNames[o] }
