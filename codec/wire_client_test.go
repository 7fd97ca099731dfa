package codec

// clientWires are the packets that clients send, and those that both sides may.
var clientWires = []wire{
	{
		name: "SUBMIT_JOB", typ: SubmitJob, args: []string{"reverse", "u1", "abc"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x07" + // type 7
			"\x00\x00\x00\x0e" + // size 14
			"reverse\x00" + // function
			"u1\x00" + // unique id
			"abc", // argument
	},
	{
		name: "SUBMIT_JOB with an empty unique id and no argument", typ: SubmitJob, args: []string{"f", "", ""},
		raw: "\x00REQ" +
			"\x00\x00\x00\x07" + // type 7
			"\x00\x00\x00\x03" + // size 3
			"f\x00" + // function
			"\x00", // unique id: none; argument: none
	},
	{
		name: "SUBMIT_JOB with NULs and a line end in the argument", typ: SubmitJob,
		args: []string{"f", "-", "a\x00b\n\x00REQ\x00"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x07" + // type 7
			"\x00\x00\x00\x0d" + // size 13
			"f\x00" + // function
			"-\x00" + // unique id: the argument is the key
			"a\x00b\n\x00REQ\x00", // argument, runs to the end
	},
	{
		name: "GET_STATUS", typ: GetStatus, args: []string{"H:lap:1"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x0f" + // type 15
			"\x00\x00\x00\x07" + // size 7
			"H:lap:1", // handle
	},
	{
		name: "ECHO_REQ", typ: EchoReq, args: []string{"any\x00bytes"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x10" + // type 16
			"\x00\x00\x00\x09" + // size 9
			"any\x00bytes", // one argument, with a NUL in it
	},
	{
		name: "ECHO_REQ of nothing", typ: EchoReq, args: []string{""},
		raw: "\x00REQ" +
			"\x00\x00\x00\x10" + // type 16
			"\x00\x00\x00\x00", // size 0
	},
	{
		name: "SUBMIT_JOB_BG", typ: SubmitJobBg, args: []string{"reverse", "", "abc"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x12" + // type 18
			"\x00\x00\x00\x0c" + // size 12
			"reverse\x00" + // function
			"\x00" + // unique id: none
			"abc", // argument
	},
	{
		name: "SUBMIT_JOB_HIGH", typ: SubmitJobHigh, args: []string{"reverse", "u", "abc"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x15" + // type 21
			"\x00\x00\x00\x0d" + // size 13
			"reverse\x00" + // function
			"u\x00" + // unique id
			"abc", // argument
	},
	{
		name: "OPTION_REQ", typ: OptionReq, args: []string{"exceptions"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x1a" + // type 26
			"\x00\x00\x00\x0a" + // size 10
			"exceptions", // option
	},
	{
		name: "SUBMIT_JOB_HIGH_BG", typ: SubmitJobHighBg, args: []string{"reverse", "u", "abc"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x20" + // type 32, a blank
			"\x00\x00\x00\x0d" + // size 13
			"reverse\x00" + // function
			"u\x00" + // unique id
			"abc", // argument
	},
	{
		name: "SUBMIT_JOB_LOW", typ: SubmitJobLow, args: []string{"reverse", "u", "abc"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x21" + // type 33
			"\x00\x00\x00\x0d" + // size 13
			"reverse\x00" + // function
			"u\x00" + // unique id
			"abc", // argument
	},
	{
		name: "SUBMIT_JOB_LOW_BG", typ: SubmitJobLowBg, args: []string{"reverse", "u", "abc"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x22" + // type 34
			"\x00\x00\x00\x0d" + // size 13
			"reverse\x00" + // function
			"u\x00" + // unique id
			"abc", // argument
	},
	{
		name: "SUBMIT_JOB_SCHED", typ: SubmitJobSched,
		args: []string{"reverse", "u", "30", "4", "", "12", "1", "abc"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x23" + // type 35
			"\x00\x00\x00\x18" + // size 24
			"reverse\x00" + // function
			"u\x00" + // unique id
			"30\x00" + // minute
			"4\x00" + // hour
			"\x00" + // day of month: any
			"12\x00" + // month
			"1\x00" + // day of week
			"abc", // argument
	},
	{
		name: "SUBMIT_JOB_EPOCH", typ: SubmitJobEpoch, args: []string{"reverse", "u", "1700000000", "abc"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x24" + // type 36
			"\x00\x00\x00\x18" + // size 24
			"reverse\x00" + // function
			"u\x00" + // unique id
			"1700000000\x00" + // seconds since 1970
			"abc", // argument
	},
	{
		name: "SUBMIT_REDUCE_JOB", typ: SubmitReduceJob, args: []string{"split", "u", "sum", "", "abc"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x25" + // type 37
			"\x00\x00\x00\x10" + // size 16
			"split\x00" + // function
			"u\x00" + // unique id
			"sum\x00" + // reducer
			"\x00" + // unused
			"abc", // argument
	},
	{
		name: "SUBMIT_REDUCE_JOB_BACKGROUND", typ: SubmitReduceJobBack, args: []string{"split", "u", "sum", "", "abc"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x26" + // type 38
			"\x00\x00\x00\x10" + // size 16
			"split\x00" + // function
			"u\x00" + // unique id
			"sum\x00" + // reducer
			"\x00" + // unused
			"abc", // argument
	},
	{
		name: "GET_STATUS_UNIQUE", typ: GetStatusUnique, args: []string{"u1"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x29" + // type 41
			"\x00\x00\x00\x02" + // size 2
			"u1", // unique id
	},
}
