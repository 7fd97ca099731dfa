package codec

// workerWires are the packets that workers send.
var workerWires = []wire{
	{
		name: "CAN_DO", typ: CanDo, args: []string{"reverse"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x01" + // type 1
			"\x00\x00\x00\x07" + // size 7
			"reverse", // function
	},
	{
		name: "CANT_DO", typ: CantDo, args: []string{"reverse"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x02" + // type 2
			"\x00\x00\x00\x07" + // size 7
			"reverse", // function
	},
	{
		name: "RESET_ABILITIES", typ: ResetAbilities,
		raw: "\x00REQ" +
			"\x00\x00\x00\x03" + // type 3
			"\x00\x00\x00\x00", // size 0
	},
	{
		name: "PRE_SLEEP", typ: PreSleep,
		raw: "\x00REQ" +
			"\x00\x00\x00\x04" + // type 4
			"\x00\x00\x00\x00", // size 0
	},
	{
		name: "GRAB_JOB", typ: GrabJob,
		raw: "\x00REQ" +
			"\x00\x00\x00\x09" + // type 9, a tab
			"\x00\x00\x00\x00", // size 0
	},
	{
		name: "WORK_STATUS", typ: WorkStatus, args: []string{"H:lap:1", "3", "10"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x0c" + // type 12
			"\x00\x00\x00\x0c" + // size 12
			"H:lap:1\x00" + // handle
			"3\x00" + // numerator
			"10", // denominator
	},
	{
		name: "WORK_COMPLETE", typ: WorkComplete, args: []string{"H:lap:1", "cba"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x0d" + // type 13, a carriage return
			"\x00\x00\x00\x0b" + // size 11
			"H:lap:1\x00" + // handle
			"cba", // result
	},
	{
		name: "WORK_COMPLETE with a size that holds a line feed", typ: WorkComplete, args: []string{"H:lap:1", "cb"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x0d" + // type 13
			"\x00\x00\x00\n" + // size 10: a line feed in a header ends no line
			"H:lap:1\x00" + // handle
			"cb", // result
	},
	{
		name: "WORK_FAIL", typ: WorkFail, args: []string{"H:lap:1"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x0e" + // type 14
			"\x00\x00\x00\x07" + // size 7
			"H:lap:1", // handle
	},
	{
		name: "SET_CLIENT_ID", typ: SetClientID, args: []string{"worker 1"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x16" + // type 22
			"\x00\x00\x00\x08" + // size 8
			"worker 1", // id
	},
	{
		name: "CAN_DO_TIMEOUT", typ: CanDoTimeout, args: []string{"reverse", "1.5"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x17" + // type 23
			"\x00\x00\x00\x0b" + // size 11
			"reverse\x00" + // function
			"1.5", // seconds
	},
	{
		name: "CAN_DO_TIMEOUT without a time", typ: CanDoTimeout, args: []string{"reverse"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x17" + // type 23
			"\x00\x00\x00\x07" + // size 7
			"reverse", // function; no NUL, no seconds
	},
	{
		name: "ALL_YOURS", typ: AllYours,
		raw: "\x00REQ" +
			"\x00\x00\x00\x18" + // type 24
			"\x00\x00\x00\x00", // size 0
	},
	{
		name: "WORK_EXCEPTION", typ: WorkException, args: []string{"H:lap:1", "it broke"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x19" + // type 25
			"\x00\x00\x00\x10" + // size 16
			"H:lap:1\x00" + // handle
			"it broke", // exception
	},
	{
		name: "WORK_DATA", typ: WorkData, args: []string{"H:lap:1", "part\x00of it"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x1c" + // type 28
			"\x00\x00\x00\x12" + // size 18
			"H:lap:1\x00" + // handle
			"part\x00of it", // data, with a NUL
	},
	{
		name: "WORK_WARNING", typ: WorkWarning, args: []string{"H:lap:1", "low"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x1d" + // type 29
			"\x00\x00\x00\x0b" + // size 11
			"H:lap:1\x00" + // handle
			"low", // warning
	},
	{
		name: "GRAB_JOB_UNIQ", typ: GrabJobUniq,
		raw: "\x00REQ" +
			"\x00\x00\x00\x1e" + // type 30
			"\x00\x00\x00\x00", // size 0
	},
	{
		name: "GRAB_JOB_ALL", typ: GrabJobAll,
		raw: "\x00REQ" +
			"\x00\x00\x00\x27" + // type 39
			"\x00\x00\x00\x00", // size 0
	},
}
