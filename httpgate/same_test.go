package httpgate

import (
	"strconv"
	"strings"
	"testing"

	"gearloop/codec"
	"gearloop/test/wire"
)

// answer is the answer that the client must get.
type answer struct {
	status  int    // 0: the connection ends without an answer
	command string // X-Gearman-Command
	handle  string // "whole", "none", "short" (its last digit is missing), "any", or what stands there instead
	body    string
	length  string // Content-Length
}

func done(body string) answer {
	return answer{200, "WORK_COMPLETE", "whole", body, strconv.Itoa(len(body))}
}

// queued is the answer to a background job.
var queued = answer{200, "JOB_CREATED", "whole", "", "0"}

// step is a packet that the worker sends about its job.
type step struct {
	kind codec.Type
	args []string
}

func does(kind codec.Type, args ...string) []step { return []step{{kind, args}} }

// scenario is a request that both servers get.
type scenario struct {
	name     string
	raw      string
	function string // the job that the worker must get; empty if there must be none
	unique   string // its unique id, "-" if empty
	argument string
	does     []step
	want     answer
	// inC is what the C server does instead, and deviation the section of docs/deviations.md that explains it.
	inC       *answer
	deviation string
	keepAlive bool // by ours, as the client asks for it; C never keeps a connection
}

func (s scenario) but(deviation string, inC answer) scenario {
	s.inC, s.deviation = &inC, deviation
	return s
}

func (s scenario) keep() scenario {
	s.keepAlive, s.deviation = true, "http-keep-alive"
	return s
}

var complete = does(codec.WorkComplete, "result")

// works is a scenario in which everything is as usual except the request.
func works(name, raw, function, unique, argument string) scenario {
	return scenario{name: name, raw: raw, function: function, unique: unique, argument: argument,
		does: complete, want: done("result")}
}

var notAllowed = answer{405, "", "none", "methods that submit a job: GET, HEAD, POST, PUT\n", "48"}
var notFound = answer{404, "", "none", "", "0"}

var scenarios = []scenario{
	works("POST", post("f", "abc"), "f", "", "abc"),
	works("PUT", strings.Replace(post("f", "abc"), "POST", "PUT", 1), "f", "", "abc"),
	works("GET", request("GET /f HTTP/1.1"), "f", "", ""),
	works("GET with a body", strings.Replace(post("f", "abc"), "POST", "GET", 1), "f", "", ""),
	works("HTTP/1.0", "POST /f HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc", "f", "", "abc"),
	works("HTTP/1.0 to be kept", "POST /f HTTP/1.0\r\nConnection: Keep-Alive\r\nContent-Length: 3\r\n\r\nabc", "f", "", "abc").keep(),
	works("HTTP/1.1 to be kept", post("f", "abc", "Connection: keep-alive"), "f", "", "abc").keep(),
	works("POST without a length", request("POST /f HTTP/1.1"), "f", "", ""),
	works("no Host", "POST /f HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "f", "", "abc"),
	works("line feeds", "POST /f HTTP/1.1\nContent-Length: 3\n\nabc", "f", "", "abc"),
	works("blanks", "POST  /f  HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "f", "", "abc"),
	works("more than the length", request("POST /f HTTP/1.1", "Content-Length: 2")+"abc", "f", "", "ab"),
	// The second request is for a function of its own: C sometimes makes a job of it, which no worker must
	// get.
	works("two requests", post("f", "abc")+post("second", "def"), "f", "", "abc"),
	scenario{name: "HEAD", raw: request("HEAD /f HTTP/1.1"), function: "f", does: complete,
		want: answer{200, "", "whole", "", "6"}}.but("http-head", answer{200, "", "whole", "", "6"}),
	{name: "HEAD background", raw: request("HEAD /f HTTP/1.1", "X-Gearman-Background: true"), function: "f",
		does: complete, want: answer{200, "", "whole", "", "0"}},

	works("query", request("GET /f?x=1&y HTTP/1.1"), "f?x=1&y", "", ""),
	works("percent", request("GET /a%20b%2Fc HTTP/1.1"), "a%20b%2Fc", "", ""),
	works("slash inside", request("GET /a/b/ HTTP/1.1"), "a/b/", "", ""),
	works("slashes before", request("GET ///f HTTP/1.1"), "f", "", ""),
	works("dots", request("GET /../a/./b HTTP/1.1"), "../a/./b", "", ""),
	works("no slash", request("GET f HTTP/1.1"), "f", "", ""),
	works("star", request("GET * HTTP/1.1"), "*", "", ""),
	works("bytes", request("GET /caf\xc3\xa9 HTTP/1.1"), "caf\xc3\xa9", "", ""),
	works("hash", request("GET /f#x HTTP/1.1"), "f#x", "", ""),
	{name: "no function", raw: request("GET / HTTP/1.1"), want: notFound},
	{name: "no function POST", raw: post("", "abc"), want: notFound},
	{name: "no function PUT", raw: request("PUT // HTTP/1.0"), want: notFound},
	scenario{name: "no function HEAD", raw: request("HEAD / HTTP/1.1"), want: answer{200, "", "none", "", "0"}}.
		but("http-head", answer{200, "", "any", "", "0"}),

	works("unique", post("f", "abc", "X-Gearman-Unique: key"), "f", "key", "abc"),
	works("unique in other letters", post("f", "abc", "x-gearman-UNIQUE: Key"), "f", "Key", "abc"),
	works("unique twice", post("f", "abc", "X-Gearman-Unique: a", "X-Gearman-Unique: b"), "f", "b", "abc"),
	works("unique empty", post("f", "abc", "X-Gearman-Unique: "), "f", "", "abc"),
	works("unique bytes", post("f", "abc", "X-Gearman-Unique: \xc3\xa9"), "f", "\xc3\xa9", "abc"),
	works("unique of 63", post("f", "abc", "X-Gearman-Unique: "+strings.Repeat("u", 63)), "f", strings.Repeat("u", 63), "abc"),
	scenario{name: "unique of 65", raw: post("f", "abc", "X-Gearman-Unique: "+strings.Repeat("u", 65)),
		want: answer{400, "ERROR", "none", "ARGUMENT_TOO_LARGE Unique value too large\n", "42"}}.
		but("http-error", answer{200, "ERROR", "ARGUMENT_TOO_LARGE", "", "0"}),

	works("priority unknown", post("f", "abc", "X-Gearman-Priority: urgent"), "f", "", "abc"),
	works("priority in other letters", post("f", "abc", "X-Gearman-Priority: HIGH"), "f", "", "abc"),
	{name: "background", raw: post("f", "abc", "X-Gearman-Background: true"), function: "f", argument: "abc",
		does: complete, want: queued},
	{name: "background GET", raw: request("GET /f HTTP/1.0", "X-Gearman-Background: TRUE"), function: "f",
		does: complete, want: queued},
	{name: "background high", raw: post("f", "abc", "X-Gearman-Background: true", "X-Gearman-Priority: high"),
		function: "f", argument: "abc", does: complete, want: queued},
	{name: "background low", raw: post("f", "abc", "X-Gearman-Background: true", "X-Gearman-Priority: low"),
		function: "f", argument: "abc", does: complete, want: queued},
	works("background false", post("f", "abc", "X-Gearman-Background: false"), "f", "", "abc"),
	works("background 1", post("f", "abc", "X-Gearman-Background: 1"), "f", "", "abc"),

	{name: "empty result", raw: post("f", "abc"), function: "f", argument: "abc", does: does(codec.WorkComplete, ""),
		want: done("")},
	{name: "result with NUL", raw: post("f", "abc"), function: "f", argument: "abc",
		does: does(codec.WorkComplete, "a\x00b\r\n"), want: done("a\x00b\r\n")},
	scenario{name: "fail", raw: post("f", "abc"), function: "f", argument: "abc", does: does(codec.WorkFail),
		want: answer{200, "WORK_FAIL", "whole", "", "0"}}.
		but("http-fail-handle", answer{200, "WORK_FAIL", "short", "", "0"}),
	scenario{name: "HEAD fail", raw: request("HEAD /f HTTP/1.1"), function: "f", does: does(codec.WorkFail),
		want: answer{200, "", "whole", "", "0"}}.
		but("http-fail-handle", answer{200, "", "short", "", "0"}),
	{name: "exception", raw: post("f", "abc"), function: "f", argument: "abc", does: does(codec.WorkException, "boom"),
		want: answer{200, "WORK_FAIL", "whole", "", "0"}},
	scenario{name: "status", raw: post("f", "abc"), function: "f", argument: "abc", does: append(does(codec.WorkStatus, "1", "2"), complete...),
		want: answer{200, "WORK_STATUS", "whole", "", "0"}}.
		but("http-after-status", answer{200, "WORK_STATUS", "whole", "", "0"}),
	scenario{name: "warning", raw: post("f", "abc"), function: "f", argument: "abc", does: append(does(codec.WorkWarning, "careful"), complete...),
		want: answer{200, "WORK_WARNING", "whole", "careful", "7"}}.
		but("http-after-status", answer{200, "WORK_WARNING", "whole", "careful", "7"}),

	scenario{name: "DELETE", raw: request("DELETE /f HTTP/1.1"), want: notAllowed}.but("http-method", answer{}),
	scenario{name: "OPTIONS", raw: request("OPTIONS * HTTP/1.1"), want: notAllowed}.but("http-method", answer{}),
	scenario{name: "small letters", raw: request("get /f HTTP/1.1"), want: notAllowed}.but("http-method", answer{}),
	scenario{name: "another version", raw: request("GET /f HTTP/2.0"), want: answer{505, "", "none", "", ""}}.
		but("http-bad-request", answer{}),
	scenario{name: "no version", raw: request("GET /f"), want: answer{400, "", "none", "", ""}}.
		but("http-bad-request", answer{}),
	scenario{name: "blank in the name", raw: request("GET /a b HTTP/1.1"), want: answer{400, "", "none", "", ""}}.
		but("http-bad-request", answer{}),
	scenario{name: "no request", raw: "hello\r\n\r\n", want: answer{400, "", "none", "", ""}}.
		but("http-bad-request", answer{}),
	scenario{name: "negative length", raw: request("POST /f HTTP/1.1", "Content-Length: -1"),
		want: answer{400, "", "none", "", ""}}.but("http-bad-request", answer{}),
	scenario{name: "HTTP/2", raw: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", want: answer{505, "", "none", "", ""}}.
		but("http-bad-request", answer{}),
	scenario{name: "long header", raw: post("f", "abc", "X-A: "+strings.Repeat("a", 80<<10)),
		want: answer{431, "", "none", "", ""}}.but("http-headers", answer{}),
	scenario{name: "many headers", raw: request("POST /f HTTP/1.1", strings.Split(strings.Repeat("A: b\n", 20000), "\n")[:20000]...),
		want: answer{431, "", "none", "", ""}}.but("http-headers", answer{}),
}

// TestSameAsC sends the same requests to both servers.
func TestSameAsC(t *testing.T) {
	for name, s := range sites(t) {
		t.Run(name, func(t *testing.T) {
			for _, sc := range scenarios {
				t.Run(sc.name, func(t *testing.T) { play(t, s, sc) })
			}
		})
	}
}

func play(t *testing.T, s site, sc scenario) {
	c := ask(t, s.http, sc.raw)
	var got job
	if sc.function != "" {
		w := wire.Dial(t, s.broker.Addr)
		defer w.Close()
		got = grab(w, sc.function)
		unique := sc.unique
		if unique == "" && sc.argument == "" {
			unique = got.unique // "-" or nothing: there is no key either way, and the broker decides
		} else if unique == "" {
			unique = "-"
		}
		if got.function != sc.function || got.unique != unique || got.argument != sc.argument {
			t.Errorf("the worker was given %q", got)
		}
		for _, st := range sc.does {
			w.Send(st.kind, append([]string{got.handle}, st.args...)...)
		}
		w.Sync()
	}
	method, _, _ := strings.Cut(sc.raw, " ")
	r := c.reply(method)
	if sc.keepAlive && s.gate != nil {
		c.send(request("GET / HTTP/1.1")) // nothing is buffered behind it
		if again := c.reply("GET"); again.status != 404 {
			t.Errorf("the second answer: %v", again)
		}
	}
	want := sc.want
	if s.gate == nil && sc.inC != nil {
		want = *sc.inC
	}
	// In C the body of an answer to HEAD, or what a worker sends after WORK_STATUS, disturbs the next request.
	if s.gate != nil || sc.deviation != "http-head" && sc.deviation != "http-after-status" {
		c.wantEnd()
	}
	switch want.handle {
	case "whole":
		want.handle = got.handle
	case "short":
		want.handle = got.handle[:len(got.handle)-1]
	case "none":
		want.handle = ""
	case "any":
		want.handle = r.handle
	}
	if want.status >= 400 && want.length == "" && r.status == want.status {
		return // net/http's own answer
	}
	if have := (answer{r.status, r.command, r.handle, r.body, r.header.Get("Content-Length")}); have != want {
		t.Errorf("got  %+v\nwant %+v", have, want)
	}
	wantType := "" // as C has it
	if s.gate != nil {
		wantType = octetStream[0]
	}
	if r.command != "" && r.status == 200 && r.header.Get("Content-Type") != wantType {
		t.Errorf("type %q", r.header["Content-Type"])
	}
	if r.status == 200 && !strings.HasPrefix(r.header.Get("Server"), "Gearman/1.1.20") {
		t.Errorf("Server %q", r.header.Get("Server"))
	}
	if r.cut {
		t.Error("the body is cut")
	}
}
