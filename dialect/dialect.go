package dialect

import (
	"fmt"
	"strings"
	"time"

	"gearloop/codec"
)

// Error is what an ERROR packet says: a code for programs and a text for people.
type Error struct{ Code, Text string }

// With returns the error with another text.
func (e Error) With(format string, a ...any) Error {
	return Error{e.Code, fmt.Sprintf(format, a...)}
}

// Fault says what becomes of a connection that sent something it may not.
type Fault uint8

const (
	Answer Fault = iota // an ERROR packet, and the connection lives
	Hangup              // the connection is closed
	Accept              // it is taken as if nothing was wrong
)

// Assign is the order in which a worker's functions are asked for a job.
type Assign uint8

const (
	// Rotate: functions in turn, beginning one further at each GRAB_JOB; the priority of a job
	// counts only within its function.
	Rotate Assign = iota
)

// Lost says what becomes of a job that its worker will not finish.
type Lost uint8

const (
	LostFails Lost = iota // WORK_FAIL to those who listen, and the job is forgotten
)

// Dialect is one column of the table.
type Dialect struct {
	Name string // as --dialect takes it

	// Answers to packets.
	NoNumber      string // numerator and denominator in STATUS_RES before any WORK_STATUS
	UnknownOption Error
	NotWorker     Error // a result from somebody who is not the job's worker
	InvalidArgs   Error
	QueueFull     Error
	ServerError   Error
	InvalidMagic  Error // a frame or line that no peer may send
	TooLarge      Error // a frame over --max-packet

	MissingArgs   Fault // SUBMIT_JOB without its NULs
	EmptyFunction Fault
	UnknownPacket Fault
	MaxUnique     int   // longest unique id, in bytes; 0 = the scheduler's own bound
	LongUnique    Error // for a longer one
	NewlineInName Fault // a line feed in a submitted function or unique id

	// Scheduling.
	HighNewestFirst bool          // two waiting SUBMIT_JOB_HIGH are handed out last in, first out
	Assign          Assign        //
	LostJob         Lost          // the worker's connection ends
	TimedOut        Lost          // the limit of CAN_DO_TIMEOUT has passed
	ExceptionEnds   bool          // WORK_EXCEPTION is the end of a job
	LateResult      bool          // a result after the time-out is dropped without an answer
	QueueEvicts     bool          // over maxqueue the newest queued job goes; else the new one is refused
	Wakeup          int           // sleepers woken per job unless set by option; -1 = all
	WakeupDelay     time.Duration // and as many again after this, while jobs wait; <0 = never
	TrimClientID    bool          // SET_CLIENT_ID without white space, "-" for empty

	// Text commands.
	Version func(version string) string
	OK      string                            // the answer to a command that has nothing to tell
	ERR     func(e Error, what string) string // an error line; what: the command's name as it came

	UnknownCommand, IncompleteArgs, UnknownArgs, NotAllowed, LineTooLong Error
}

// Perl is the dialect of the Perl Gearman::Server, the founding specification.
var Perl = &Dialect{
	Name: "perl",

	NoNumber:      "",
	UnknownOption: Error{"unknown_option", ""},
	NotWorker:     Error{"not_worker", ""},
	InvalidArgs:   Error{"invalid_args", ""},
	QueueFull:     Error{"queue_full", "Job queue is full"},
	ServerError:   Error{"server_error", ""},
	InvalidMagic:  Error{"invalid_magic", "Request magic expected"},
	TooLarge:      Error{"packet_too_large", "Packet is larger than the server allows"},

	MissingArgs:   Answer,
	EmptyFunction: Answer,
	UnknownPacket: Answer,
	MaxUnique:     0,
	LongUnique:    Error{"invalid_args", "Unique id is longer than 65536 bytes."},
	NewlineInName: Answer,

	HighNewestFirst: true,
	Assign:          Rotate,
	LostJob:         LostFails,
	TimedOut:        LostFails,
	ExceptionEnds:   false,
	LateResult:      true,
	QueueEvicts:     true,
	Wakeup:          3,
	WakeupDelay:     100 * time.Millisecond,
	TrimClientID:    true,

	Version: func(v string) string { return "v" + v + "\n" },
	OK:      "OK\n",
	ERR: func(e Error, _ string) string {
		return "ERR " + e.Code + " " + codec.Escape(e.Text) + "\r\n"
	},

	UnknownCommand: Error{"unknown_command", "Unknown server command"},
	IncompleteArgs: Error{"incomplete_args", "An incomplete set of arguments was sent to this command"},
	UnknownArgs:    Error{"unknown_args", "Unknown arguments to server command"},
	NotAllowed:     Error{"not_allowed", "Only local connections may send this command"},
	LineTooLong:    Error{"line_too_long", "The command line is too long"},
}

// all lists the dialects in the order the help shows them.
var all = []*Dialect{Perl}

// Named returns the dialect of that name.
func Named(name string) (*Dialect, error) {
	for _, d := range all {
		if d.Name == name {
			return d, nil
		}
	}
	return nil, fmt.Errorf("unknown dialect %q (there is: %s)", name, strings.Join(Names(), ", "))
}

// Names returns the names that Named knows.
func Names() []string {
	var names []string
	for _, d := range all {
		names = append(names, d.Name)
	}
	return names
}
