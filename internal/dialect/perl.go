package dialect

import (
	"time"

	"gearloop/codec"
)

// Perl is the dialect of the Perl Gearman::Server, the founding specification.
var Perl = &Dialect{
	Name: "perl",

	NoNumber:      "",
	UnknownOption: Error{"unknown_option", ""},
	NotWorker:     func(codec.Type) Error { return Error{"not_worker", ""} },
	InvalidArgs:   Error{"invalid_args", ""},
	QueueFull:     Error{"queue_full", "Job queue is full"},
	Forbidden:     Error{"not_allowed", "You have no right to this function"},
	ServerError:   Error{"server_error", ""},
	InvalidMagic:  Error{"invalid_magic", "Request magic expected"},
	TooLarge:      Error{"packet_too_large", "Packet is larger than the server allows"},

	MissingArgs:   Answer,
	MissingStatus: Accept,
	EmptyFunction: Answer,
	UnknownPacket: Answer,
	BadMagic:      Answer,
	BadTime:       Answer,
	AllYours:      Accept,
	MaxUnique:     0,
	LongUnique:    Error{"invalid_args", "Unique id is longer than 65536 bytes."},
	NewlineInName: Answer,
	Limit:         Limit{Unit: time.Second, Binary: true},

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
	JoiningWakes:    true,

	Version: func(v string) string { return "v" + v + "\n" },
	OK:      "OK\n",
	Answer:  func(v string) string { return v + "\n" },

	QueueBounds: 1,
	ERR: func(e Error, _ string) string {
		return "ERR " + e.Code + " " + codec.Escape(e.Text) + "\r\n"
	},

	UnknownCommand: Error{"unknown_command", "Unknown server command"},
	IncompleteArgs: Error{"incomplete_args", "An incomplete set of arguments was sent to this command"},
	UnknownArgs:    Error{"unknown_args", "Unknown arguments to server command"},
	NotAllowed:     func(who string) Error { return Error{"not_allowed", who + " may send this command"} },
	LineTooLong:    Error{"line_too_long", "The command line is too long"},
	UnknownShow:    Error{"unknown_args", "Unknown arguments to server command"},
	UnknownCancel:  Error{"unknown_args", "Unknown arguments to server command"},
	UnknownJob:     Error{"unknown_job", "No such job waits"},
	NoFunction:     Error{"unknown_function", "Function not found"},
	SilentBroker:   Error{"broker_silent", "The broker that has the job does not answer: try again later"},
	FunctionInUse:  Error{"function_in_use", "Workers or running jobs of the function are there"},
}
