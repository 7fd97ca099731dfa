package dialect

import (
	"time"

	"gearloop/codec"
)

// C is the dialect of the C gearmand, as version 1.1.20 speaks it.
var C = &Dialect{
	Name: "c",

	NoNumber:      "0",
	UnknownOption: Error{"UNKNOWN_OPTION", "Server does not recognize given option"},
	NotWorker:     notWorkerOfC,
	InvalidArgs:   Error{"INVALID_ARGUMENTS", ""},
	QueueFull:     Error{"QUEUE_ERROR", "Job queue is full"},
	Forbidden:     Error{"NOT_ALLOWED", "You have no right to this function"},
	ServerError:   Error{"SERVER_ERROR", ""},
	NotExpected:   Error{"INVALID_COMMAND", "Command not expected"},
	InvalidMagic:  Error{"INVALID_MAGIC", "Request magic expected"},
	TooLarge:      Error{"ARGUMENT_TOO_LARGE", "Packet is larger than the server allows"},

	MissingArgs:   Hangup,
	MissingStatus: Hangup,
	EmptyFunction: Accept,
	UnknownPacket: Hangup,
	BadMagic:      Hangup,
	BadTime:       Hangup,
	AllYours:      Answer,
	MaxUnique:     64,
	LongUnique:    Error{"ARGUMENT_TOO_LARGE", "Unique value too large"},
	LongHandle:    Error{"ARGUMENT_TOO_LARGE", "Error occurred due to GEARMAND_JOB_HANDLE_SIZE being too small from snprintf"},
	MaxClientID:   127,
	NewlineInName: Accept,
	Limit:         Limit{Unit: time.Millisecond, Least: time.Second, Whole: true, Longest: 20},
	Atoi:          true,
	FoldOption:    true,
	NulEndsHandle: true,
	FailWithNUL:   true,
	DashIsShown:   true,

	HighNewestFirst: false,
	Assign:          Registered,
	LostJob:         LostRequeues,
	TimedOut:        LostRequeues,
	SleepEndsLimits: true,
	ExceptionEnds:   true,
	LateResult:      false,
	QueueEvicts:     false,
	DropRequeues:    true,
	KeepFunctions:   true,
	GrabWakes:       true,
	AbilityHears:    true,
	RepeatedFirst:   true,
	Wakeup:          -1,
	WakeupDelay:     100 * time.Millisecond, // only where an option bounds the first wake-up
	TrimClientID:    false,

	// Not our own: programs decide by it what they can expect.
	Version: func(string) string { return "OK 1.1.20\n" },
	OK:      "OK\r\n",
	ERR:     errOfC,
	Answer:  func(v string) string { return "OK " + v + "\n" },

	LastFunctionFirst:  true,
	ZeroQueueIsNoBound: true,
	QueueBounds:        3,

	UnknownCommand: Error{"UNKNOWN_COMMAND", "Unknown server command"},
	IncompleteArgs: Error{"INVALID_ARGUMENTS", "An incomplete set of arguments was sent to this command "},
	UnknownArgs:    Error{"UNKNOWN_COMMAND", "Unknown server command"},
	UnknownShow:    Error{"UNKNOWN_SHOW_ARGUMENTS", ""},
	UnknownCancel:  Error{"UNKNOWN_ERROR", ""},
	UnknownJob:     Error{"UNKNOWN_JOB", ""},
	NotAllowed:     func(who string) Error { return Error{"NOT_ALLOWED", who + " may send this command "} },
	LineTooLong:    Error{"LINE_TOO_LONG", "The command line is too long"},
	NoFunction:     Error{"function not found", ""},
	SilentBroker:   Error{"BROKER_SILENT", "The broker that has the job does not answer: try again later "},
	FunctionInUse:  Error{"there are still connected workers or executing clients", ""},
}

// notWorkerOfC tells packets apart that the other dialect does not.
func notWorkerOfC(t codec.Type) Error {
	const code = "JOB_NOT_FOUND"
	switch t {
	case codec.WorkException:
		return Error{code, "An exception was received for a job that does not exist"}
	case codec.WorkData, codec.WorkWarning:
		return Error{code, "Job does not exist on server"}
	}
	return Error{code, "Job given in work result not found"}
}

// errOfC names the command at the end of a text; an error without a text is its code alone.
func errOfC(e Error, what string) string {
	if e.Text == "" {
		return "ERR " + e.Code + "\r\n"
	}
	return "ERR " + e.Code + " " + codec.Escape(e.Text) + what + "\r\n"
}
