package codec

import "strconv"

// Type is the number of a packet, as it stands in a frame's header.
type Type uint32

// The packets of the Gearman protocol. The comment names who sends it (C client, W worker, S
// server) and its arguments.
const (
	CanDo               Type = 1  // W: function
	CantDo              Type = 2  // W: function
	ResetAbilities      Type = 3  // W: -
	PreSleep            Type = 4  // W: -
	Noop                Type = 6  // S: -
	SubmitJob           Type = 7  // C: function, unique id, argument
	JobCreated          Type = 8  // S: handle
	GrabJob             Type = 9  // W: -
	NoJob               Type = 10 // S: -
	JobAssign           Type = 11 // S: handle, function, argument
	WorkStatus          Type = 12 // W, S: handle, numerator, denominator
	WorkComplete        Type = 13 // W, S: handle, result
	WorkFail            Type = 14 // W, S: handle
	GetStatus           Type = 15 // C: handle
	EchoReq             Type = 16 // C, W: bytes
	EchoRes             Type = 17 // S: bytes
	SubmitJobBg         Type = 18 // C: function, unique id, argument
	Error               Type = 19 // S: code, text
	StatusRes           Type = 20 // S: handle, known, running, numerator, denominator
	SubmitJobHigh       Type = 21 // C: function, unique id, argument
	SetClientID         Type = 22 // W: id
	CanDoTimeout        Type = 23 // W: function, limit (dialect perl: seconds, c: milliseconds)
	AllYours            Type = 24 // W: -
	WorkException       Type = 25 // W, S: handle, exception
	OptionReq           Type = 26 // C, W: option
	OptionRes           Type = 27 // S: option
	WorkData            Type = 28 // W, S: handle, data
	WorkWarning         Type = 29 // W, S: handle, warning
	GrabJobUniq         Type = 30 // W: -
	JobAssignUniq       Type = 31 // S: handle, function, unique id, argument
	SubmitJobHighBg     Type = 32 // C: function, unique id, argument
	SubmitJobLow        Type = 33 // C: function, unique id, argument
	SubmitJobLowBg      Type = 34 // C: function, unique id, argument
	SubmitJobSched      Type = 35 // C: function, unique id, minute, hour, day of month, month, day of week, argument
	SubmitJobEpoch      Type = 36 // C: function, unique id, seconds since 1970, argument
	SubmitReduceJob     Type = 37 // C: function, unique id, reducer, unused, argument
	SubmitReduceJobBack Type = 38 // C: function, unique id, reducer, unused, argument
	GrabJobAll          Type = 39 // W: -
	JobAssignAll        Type = 40 // S: handle, function, unique id, reducer, argument
	GetStatusUnique     Type = 41 // C: unique id
	StatusResUnique     Type = 42 // S: unique id, known, running, numerator, denominator, waiting clients
)

// names holds the protocol's name of every packet; a hole is a number without one.
var names = [...]string{
	CanDo: "CAN_DO", CantDo: "CANT_DO", ResetAbilities: "RESET_ABILITIES", PreSleep: "PRE_SLEEP",
	Noop: "NOOP", SubmitJob: "SUBMIT_JOB", JobCreated: "JOB_CREATED", GrabJob: "GRAB_JOB",
	NoJob: "NO_JOB", JobAssign: "JOB_ASSIGN", WorkStatus: "WORK_STATUS", WorkComplete: "WORK_COMPLETE",
	WorkFail: "WORK_FAIL", GetStatus: "GET_STATUS", EchoReq: "ECHO_REQ", EchoRes: "ECHO_RES",
	SubmitJobBg: "SUBMIT_JOB_BG", Error: "ERROR", StatusRes: "STATUS_RES", SubmitJobHigh: "SUBMIT_JOB_HIGH",
	SetClientID: "SET_CLIENT_ID", CanDoTimeout: "CAN_DO_TIMEOUT", AllYours: "ALL_YOURS",
	WorkException: "WORK_EXCEPTION", OptionReq: "OPTION_REQ", OptionRes: "OPTION_RES",
	WorkData: "WORK_DATA", WorkWarning: "WORK_WARNING", GrabJobUniq: "GRAB_JOB_UNIQ",
	JobAssignUniq: "JOB_ASSIGN_UNIQ", SubmitJobHighBg: "SUBMIT_JOB_HIGH_BG", SubmitJobLow: "SUBMIT_JOB_LOW",
	SubmitJobLowBg: "SUBMIT_JOB_LOW_BG", SubmitJobSched: "SUBMIT_JOB_SCHED", SubmitJobEpoch: "SUBMIT_JOB_EPOCH",
	SubmitReduceJob: "SUBMIT_REDUCE_JOB", SubmitReduceJobBack: "SUBMIT_REDUCE_JOB_BACKGROUND",
	GrabJobAll: "GRAB_JOB_ALL", JobAssignAll: "JOB_ASSIGN_ALL",
	GetStatusUnique: "GET_STATUS_UNIQUE", StatusResUnique: "STATUS_RES_UNIQUE",
}

// Known reports whether the protocol has a packet of this number.
func (t Type) Known() bool { return int(t) < len(names) && names[t] != "" }

// String returns the protocol's name of the packet, or its number.
func (t Type) String() string {
	if t.Known() {
		return names[t]
	}
	return strconv.FormatUint(uint64(t), 10)
}
