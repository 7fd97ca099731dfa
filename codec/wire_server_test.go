package codec

// serverWires are the packets that the server sends.
var serverWires = []wire{
	{
		name: "NOOP", typ: Noop, response: true,
		raw: "\x00RES" +
			"\x00\x00\x00\x06" + // type 6
			"\x00\x00\x00\x00", // size 0
	},
	{
		name: "JOB_CREATED", typ: JobCreated, response: true, args: []string{"H:lap:1"},
		raw: "\x00RES" +
			"\x00\x00\x00\x08" + // type 8
			"\x00\x00\x00\x07" + // size 7
			"H:lap:1", // handle
	},
	{
		name: "NO_JOB", typ: NoJob, response: true,
		raw: "\x00RES" +
			"\x00\x00\x00\n" + // type 10, a line feed
			"\x00\x00\x00\x00", // size 0
	},
	{
		name: "JOB_ASSIGN", typ: JobAssign, response: true, args: []string{"H:lap:1", "reverse", "abc"},
		raw: "\x00RES" +
			"\x00\x00\x00\x0b" + // type 11
			"\x00\x00\x00\x13" + // size 19
			"H:lap:1\x00" + // handle
			"reverse\x00" + // function
			"abc", // argument
	},
	{
		name: "WORK_STATUS to a client", typ: WorkStatus, response: true, args: []string{"H:lap:1", "3", "10"},
		raw: "\x00RES" +
			"\x00\x00\x00\x0c" + // type 12
			"\x00\x00\x00\x0c" + // size 12
			"H:lap:1\x00" + // handle
			"3\x00" + // numerator
			"10", // denominator
	},
	{
		name: "WORK_COMPLETE to a client", typ: WorkComplete, response: true, args: []string{"H:lap:1", "cba"},
		raw: "\x00RES" +
			"\x00\x00\x00\x0d" + // type 13
			"\x00\x00\x00\x0b" + // size 11
			"H:lap:1\x00" + // handle
			"cba", // result
	},
	{
		name: "WORK_FAIL to a client", typ: WorkFail, response: true, args: []string{"H:lap:1"},
		raw: "\x00RES" +
			"\x00\x00\x00\x0e" + // type 14
			"\x00\x00\x00\x07" + // size 7
			"H:lap:1", // handle
	},
	{
		name: "ECHO_RES", typ: EchoRes, response: true, args: []string{"any\x00bytes"},
		raw: "\x00RES" +
			"\x00\x00\x00\x11" + // type 17
			"\x00\x00\x00\x09" + // size 9
			"any\x00bytes", // one argument, with a NUL in it
	},
	{
		name: "ERROR", typ: Error, response: true, args: []string{"queue_full", "Job queue is full"},
		raw: "\x00RES" +
			"\x00\x00\x00\x13" + // type 19
			"\x00\x00\x00\x1c" + // size 28
			"queue_full\x00" + // code
			"Job queue is full", // text
	},
	{
		name: "ERROR without a text", typ: Error, response: true, args: []string{"not_worker", ""},
		raw: "\x00RES" +
			"\x00\x00\x00\x13" + // type 19
			"\x00\x00\x00\x0b" + // size 11
			"not_worker\x00", // code; the text is empty
	},
	{
		name: "STATUS_RES", typ: StatusRes, response: true, args: []string{"H:lap:1", "1", "1", "3", "10"},
		raw: "\x00RES" +
			"\x00\x00\x00\x14" + // type 20
			"\x00\x00\x00\x10" + // size 16
			"H:lap:1\x00" + // handle
			"1\x00" + // known
			"1\x00" + // running
			"3\x00" + // numerator
			"10", // denominator
	},
	{
		name: "STATUS_RES without numbers", typ: StatusRes, response: true, args: []string{"H:lap:1", "0", "0", "", ""},
		raw: "\x00RES" +
			"\x00\x00\x00\x14" + // type 20
			"\x00\x00\x00\x0d" + // size 13
			"H:lap:1\x00" + // handle
			"0\x00" + // known
			"0\x00" + // running
			"\x00", // numerator and denominator: empty
	},
	{
		name: "WORK_EXCEPTION to a client", typ: WorkException, response: true, args: []string{"H:lap:1", "it broke"},
		raw: "\x00RES" +
			"\x00\x00\x00\x19" + // type 25
			"\x00\x00\x00\x10" + // size 16
			"H:lap:1\x00" + // handle
			"it broke", // exception
	},
	{
		name: "OPTION_RES", typ: OptionRes, response: true, args: []string{"exceptions"},
		raw: "\x00RES" +
			"\x00\x00\x00\x1b" + // type 27
			"\x00\x00\x00\x0a" + // size 10
			"exceptions", // option
	},
	{
		name: "WORK_DATA to a client", typ: WorkData, response: true, args: []string{"H:lap:1", "part"},
		raw: "\x00RES" +
			"\x00\x00\x00\x1c" + // type 28
			"\x00\x00\x00\x0c" + // size 12
			"H:lap:1\x00" + // handle
			"part", // data
	},
	{
		name: "WORK_WARNING to a client", typ: WorkWarning, response: true, args: []string{"H:lap:1", "low"},
		raw: "\x00RES" +
			"\x00\x00\x00\x1d" + // type 29
			"\x00\x00\x00\x0b" + // size 11
			"H:lap:1\x00" + // handle
			"low", // warning
	},
	{
		name: "JOB_ASSIGN_UNIQ", typ: JobAssignUniq, response: true, args: []string{"H:lap:1", "reverse", "u1", "abc"},
		raw: "\x00RES" +
			"\x00\x00\x00\x1f" + // type 31
			"\x00\x00\x00\x16" + // size 22
			"H:lap:1\x00" + // handle
			"reverse\x00" + // function
			"u1\x00" + // unique id
			"abc", // argument
	},
	{
		name: "JOB_ASSIGN_ALL", typ: JobAssignAll, response: true, args: []string{"H:lap:1", "split", "u1", "sum", "abc"},
		raw: "\x00RES" +
			"\x00\x00\x00\x28" + // type 40
			"\x00\x00\x00\x18" + // size 24
			"H:lap:1\x00" + // handle
			"split\x00" + // function
			"u1\x00" + // unique id
			"sum\x00" + // reducer
			"abc", // argument
	},
	{
		name: "STATUS_RES_UNIQUE", typ: StatusResUnique, response: true, args: []string{"u1", "1", "0", "3", "10", "2"},
		raw: "\x00RES" +
			"\x00\x00\x00\x2a" + // type 42
			"\x00\x00\x00\x0d" + // size 13
			"u1\x00" + // unique id
			"1\x00" + // known
			"0\x00" + // running
			"3\x00" + // numerator
			"10\x00" + // denominator
			"2", // waiting clients
	},
}
