package dialect

import (
	"fmt"
	"strings"
	"time"

	"gearloop/codec"
)

// Error is the content of an ERROR packet: a code for programs and a text for people.
type Error struct{ Code, Text string }

// With returns the error with another text.
func (e Error) With(format string, a ...any) Error {
	return Error{e.Code, fmt.Sprintf(format, a...)}
}

// Fault is what happens to a connection that sent a forbidden packet.
type Fault uint8

const (
	Answer Fault = iota // it gets an ERROR packet and stays open
	Hangup              // it is closed
	Accept              // the packet is accepted as if it were right
)

// Assign is the order in which a worker's functions are asked for a job.
type Assign uint8

const (
	// Rotate: functions in turn, beginning with the next one at each GRAB_JOB. The priority of a job counts only
	// within its function.
	Rotate Assign = iota + 1
	// Registered: the function that was registered last comes first; then the priority within the function
	// counts.
	Registered
	// RoundRobin: as Registered, but a function that gave a job moves behind the others.
	RoundRobin
)

// Lost is what happens to a job whose worker will not finish it.
type Lost uint8

const (
	LostFails    Lost = iota // the listeners get WORK_FAIL, and the job ends
	LostRequeues             // it goes to the end of its queue, as often as the option for retries allows
)

// Limit is how the text of CAN_DO_TIMEOUT is read as the time limit of a job. A negative number and an empty
// text mean no limit.
type Limit struct {
	Unit  time.Duration // of the number
	Least time.Duration // limits below it count as this
	// Whole: the number ends at the first letter that is no digit, 0 is no limit, and a text of more than
	// Longest bytes or a number beyond 64 bits ends the connection. Otherwise fractions and exponents are read,
	// and 0 is a limit of no time; so is a text without a number.
	Whole   bool
	Longest int
	// Binary reads four bytes, the first of them a NUL, as a number of seconds, big endian.
	Binary bool
}

// Dialect is one column of the table.
type Dialect struct {
	Name string // as --dialect takes it

	// Answers to packets.
	NoNumber      string // numerator and denominator in STATUS_RES before any WORK_STATUS
	UnknownOption Error
	NotWorker     func(codec.Type) Error // a result from somebody who is not the job's worker
	InvalidArgs   Error
	QueueFull     Error
	Forbidden     Error // a packet that the peer has no right to send
	ServerError   Error
	NotExpected   Error // a packet that only the server sends; zero: as UnknownPacket has it
	InvalidMagic  Error // a frame or line that no peer may send
	TooLarge      Error // a frame over --max-packet

	MissingArgs   Fault // SUBMIT_JOB without its NULs
	MissingStatus Fault // WORK_STATUS without numbers, CAN_DO_TIMEOUT without its limit
	EmptyFunction Fault
	UnknownPacket Fault
	BadMagic      Fault // bytes that are neither a frame nor a line; the connection ends in any case
	BadTime       Fault // SUBMIT_JOB_EPOCH and SUBMIT_JOB_SCHED
	AllYours      Fault // a worker that wants jobs without asking for them
	MaxUnique     int   // longest unique id, in bytes; 0 = the scheduler's own bound
	LongUnique    Error // for a longer one
	LongHandle    Error // WORK_FAIL with a handle that is too long; zero: as for any unknown one
	MaxClientID   int   // what is kept of SET_CLIENT_ID, which then ends at its first NUL, in bytes; 0 = the scheduler's own bound
	NewlineInName Fault // a line feed in a submitted function or unique id
	Limit         Limit // how CAN_DO_TIMEOUT is read
	Atoi          bool  // numbers are what a text begins with, 0 if that is none
	FoldOption    bool  // OPTION_REQ does not mind capitals and what follows a NUL
	NulEndsHandle bool  // GET_STATUS and WORK_FAIL look at a handle up to its NUL; else GET_STATUS does not answer then
	FailWithNUL   bool  // WORK_FAIL that the server makes of an exception has a NUL after the handle
	DashIsShown   bool  // a unique id "-" is shown as that; else as the argument that it stands for

	// Scheduling.
	HighNewestFirst bool          // two waiting SUBMIT_JOB_HIGH are handed out last in, first out
	Assign          Assign        // unless set by option
	LostJob         Lost          // the worker's connection ends
	TimedOut        Lost          // the limit of CAN_DO_TIMEOUT has passed
	SleepEndsLimits bool          // a worker that goes to sleep with jobs in hand may take any time for them
	ExceptionEnds   bool          // WORK_EXCEPTION is the end of a job
	LateResult      bool          // a result after the time-out is dropped without an answer
	QueueEvicts     bool          // over maxqueue the newest queued job goes; else the new one is refused, and running jobs count, too
	DropRequeues    bool          // CANT_DO and RESET_ABILITIES take the worker's jobs of the function away
	KeepFunctions   bool          // a function is known until it is dropped
	Wakeup          int           // sleepers woken per job unless set by option; -1 = all
	WakeupDelay     time.Duration // and as many again after this, while jobs wait; <0 = never
	TrimClientID    bool          // SET_CLIENT_ID without white space, "-" for empty
	GrabWakes       bool          // a worker that asked in vain for a job is awake; else it is asleep as before
	JoiningWakes    bool          // a submission that joins a queued or running job wakes sleepers, too
	AbilityHears    bool          // CAN_DO of a sleeping worker: the function's next job wakes it; else only after its next PRE_SLEEP
	RepeatedFirst   bool          // CAN_DO of a function that the worker has already makes it the one registered last

	// Text commands.
	Version func(version string) string
	OK      string                            // the answer to a command that has nothing to tell
	ERR     func(e Error, what string) string // an error line; what: the command's name as it came
	Answer  func(value string) string         // answers a command that tells one thing

	LastFunctionFirst  bool // "workers" has the functions registered last first, and no blank after the colon without any
	ZeroQueueIsNoBound bool // maxqueue 0 takes the bound away
	QueueBounds        int  // how many numbers maxqueue takes; what follows is not looked at

	UnknownCommand, IncompleteArgs, UnknownArgs, UnknownShow, UnknownCancel, UnknownJob Error
	LineTooLong, NoFunction, FunctionInUse                                              Error
	SilentBroker                                                                        Error // has the job, and does not answer

	// NotAllowed is for a command that the peer may not send. who may, as "Only local connections".
	NotAllowed func(who string) Error
}

// all lists the dialects in the order the help shows them.
var all = []*Dialect{Perl, C}

// Named returns the dialect of that name.
func Named(name string) (*Dialect, error) {
	for _, d := range all {
		if d.Name == name {
			return d, nil
		}
	}
	return nil, fmt.Errorf("dialect %q is unknown: it must be %s", name, strings.Join(Names(), " or "))
}

// Names returns the names that Named knows.
func Names() []string {
	var names []string
	for _, d := range all {
		names = append(names, d.Name)
	}
	return names
}
