package codec

// strangeWires are well-formed frames that make no sense as packets: the codec passes
// them on, and whoever knows the packets decides.
var strangeWires = []wire{
	{
		name: "number 0", typ: 0,
		raw: "\x00REQ" +
			"\x00\x00\x00\x00" + // type 0
			"\x00\x00\x00\x00", // size 0
	},
	{
		name: "number 5, which no packet has", typ: 5, args: []string{"x"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x05" + // type 5
			"\x00\x00\x00\x01" + // size 1
			"x",
	},
	{
		name: "number 43, one too high", typ: 43, args: []string{"x"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x2b" + // type 43
			"\x00\x00\x00\x01" + // size 1
			"x",
	},
	{
		name: "the highest number", typ: 1<<32 - 1, args: []string{"x"},
		raw: "\x00REQ" +
			"\xff\xff\xff\xff" + // type 4294967295
			"\x00\x00\x00\x01" + // size 1
			"x",
	},
	{
		name: "a little-endian number", typ: 7 << 24, args: []string{"f", "", ""},
		raw: "\x00REQ" +
			"\x07\x00\x00\x00" + // type 117440512, meant as 7
			"\x00\x00\x00\x03" + // size 3
			"f\x00\x00",
	},
	{
		name: "SUBMIT_JOB without its NULs", typ: SubmitJob, args: []string{"reverse"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x07" + // type 7
			"\x00\x00\x00\x07" + // size 7
			"reverse", // a function, and nothing else
	},
	{
		name: "SUBMIT_JOB of nothing", typ: SubmitJob,
		raw: "\x00REQ" +
			"\x00\x00\x00\x07" + // type 7
			"\x00\x00\x00\x00", // size 0
	},
	{
		name: "SUBMIT_JOB with an empty function", typ: SubmitJob, args: []string{"", "u", "abc"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x07" + // type 7
			"\x00\x00\x00\x06" + // size 6
			"\x00" + // function: empty
			"u\x00" + // unique id
			"abc", // argument
	},
	{
		name: "GRAB_JOB with data that it should not have", typ: GrabJob, args: []string{"what\r\nfor\n"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x09" + // type 9
			"\x00\x00\x00\x0a" + // size 10
			"what\r\nfor\n",
	},
	{
		name: "a packet of the server's, sent to it", typ: JobCreated, args: []string{"H:lap:1"},
		raw: "\x00REQ" +
			"\x00\x00\x00\x08" + // type 8
			"\x00\x00\x00\x07" + // size 7
			"H:lap:1",
	},
	{
		name: "a packet of a client's with the magic of the server", typ: SubmitJob, response: true,
		args: []string{"f", "", ""},
		raw: "\x00RES" +
			"\x00\x00\x00\x07" + // type 7
			"\x00\x00\x00\x03" + // size 3
			"f\x00\x00",
	},
}

// brokenMaxData is the maxData with which brokenWires are broken.
const brokenMaxData = 1 << 20

// brokenWires are beginnings that nothing good can follow.
var brokenWires = []struct {
	name string
	raw  string
	err  error
	at   int // bytes that are enough to see it
}{
	{"NUL, then text", "\x00status\n", ErrMagic, 2},
	{"NULs", "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", ErrMagic, 2},
	{"NUL and a line feed", "\x00\n", ErrMagic, 2},
	{"magic in lower case", "\x00req\x00\x00\x00\x09\x00\x00\x00\x00", ErrMagic, 2},
	{"magic that goes wrong at its third byte", "\x00RA", ErrMagic, 3},
	{"magic that goes wrong at its last byte", "\x00REX", ErrMagic, 4},
	{"magic of neither direction", "\x00REP\x00\x00\x00\x09\x00\x00\x00\x00", ErrMagic, 4},
	{"two NULs in front", "\x00\x00REQ\x00\x00\x00\x09\x00\x00\x00\x00", ErrMagic, 2},
	{
		"one byte too many",
		"\x00REQ" +
			"\x00\x00\x00\x07" + // type 7
			"\x00\x10\x00\x01", // size 1 MiB + 1
		ErrTooLarge, HeaderSize,
	},
	{
		"the largest size",
		"\x00REQ" +
			"\x00\x00\x00\x07" + // type 7
			"\xff\xff\xff\xff", // size 4 GiB - 1
		ErrTooLarge, HeaderSize,
	},
	{
		"a size with the sign bit",
		"\x00REQ" +
			"\x00\x00\x00\x07" + // type 7
			"\x80\x00\x00\x00", // size 2 GiB, negative in 32 bits
		ErrTooLarge, HeaderSize,
	},
	{
		"a little-endian size",
		"\x00REQ" +
			"\x00\x00\x00\x07" + // type 7
			"\x03\x00\x00\x00" + // size 48 MiB, meant as 3
			"f\x00\x00",
		ErrTooLarge, HeaderSize,
	},
	{
		"a response that is too large",
		"\x00RES" +
			"\x00\x00\x00\x07" + // type 7
			"\xff\x00\x00\x00", // size
		ErrTooLarge, HeaderSize,
	},
}
