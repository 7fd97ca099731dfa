package httpgate

import (
	"strings"
	"testing"

	"gearloop/codec"
	"gearloop/test/wire"
)

// onBoth runs a test against Gearloop and the C server.
func onBoth(t *testing.T, test func(t *testing.T, s site)) {
	for name, s := range sites(t) {
		t.Run(name, func(t *testing.T) { test(t, s) })
	}
}

// jobs returns how many jobs of a function there are, as the text command status tells.
func (s site) jobs(function string) string {
	for _, row := range s.admin.Table("status") {
		if f := strings.Split(row, "\t"); f[0] == function {
			return f[1]
		}
	}
	return "0"
}

func (s site) awaitJobs(t *testing.T, function, n string) {
	t.Helper()
	wire.Await(t, n+" jobs of "+function, func() bool { return s.jobs(function) == n })
}

// Two requests with the same unique id are one job. Without one the id is "-", which makes the argument the
// key; TestSameAsC checks that.
func TestCoalescing(t *testing.T) {
	onBoth(t, func(t *testing.T, s site) {
		one := ask(t, s.http, post("f", "abc", "X-Gearman-Unique: key"))
		s.awaitJobs(t, "f", "1")
		two := ask(t, s.http, post("f", "another", "X-Gearman-Unique: key"))
		wire.Await(t, "two clients wait for the job", func() bool {
			s.admin.Send(codec.GetStatusUnique, "key")
			return s.admin.WantType(codec.StatusResUnique).Args(6)[5] == "2"
		})
		w := wire.Dial(t, s.broker.Addr)
		got := grab(w, "f")
		w.Send(codec.WorkComplete, got.handle, "result")
		for _, c := range []*client{one, two} {
			if r := c.reply("POST"); r.handle != got.handle || r.body != "result" || got.argument != "abc" {
				t.Errorf("job %v, answer %v", got, r)
			}
		}
	})
}

// High priority goes before normal, and normal before low.
func TestPriorities(t *testing.T) {
	onBoth(t, func(t *testing.T, s site) {
		ask(t, s.http, post("f", "low", "X-Gearman-Priority: low"))
		s.awaitJobs(t, "f", "1")
		ask(t, s.http, post("f", "low bg", "X-Gearman-Priority: Low", "X-Gearman-Background: true"))
		s.awaitJobs(t, "f", "2")
		ask(t, s.http, post("f", "normal"))
		s.awaitJobs(t, "f", "3")
		ask(t, s.http, post("f", "high", "X-Gearman-Priority: high"))
		s.awaitJobs(t, "f", "4")
		ask(t, s.http, post("f", "high bg", "X-Gearman-Priority: HIGH", "X-Gearman-Background: true"))
		s.awaitJobs(t, "f", "5")
		w := wire.Dial(t, s.broker.Addr)
		for _, want := range []string{"high", "high bg", "normal", "low", "low bg"} {
			got := grab(w, "f")
			if got.argument != want {
				t.Errorf("got %q, want %q", got.argument, want)
			}
			w.Send(codec.WorkComplete, got.handle, "")
		}
	})
}

// When a client disconnects in any way its foreground job is dropped. A background job stays.
func TestClientGoes(t *testing.T) {
	onBoth(t, func(t *testing.T, s site) {
		leave := map[string]func(c *client){
			"close":      func(c *client) { c.Close() },
			"reset":      func(c *client) { wire.New(t, c.Conn).Reset() },
			"half-close": func(c *client) { wire.New(t, c.Conn).CloseWrite() },
		}
		for how, f := range leave {
			base := len(s.admin.Table("workers"))
			gone := ask(t, s.http, post("gone", how))
			s.awaitJobs(t, "gone", "1")
			f(gone)
			wire.Await(t, "the broker knows", func() bool { return len(s.admin.Table("workers")) == base })
			w := wire.Dial(t, s.broker.Addr)
			w.Send(codec.CanDo, "gone")
			w.Send(codec.GrabJob)
			w.WantType(codec.NoJob)
			if how == "half-close" {
				if r := gone.reply("POST"); r.status != 0 {
					t.Errorf("answered %v", r)
				}
			}
			w.Close()
			wire.Await(t, "the worker is forgotten", func() bool { return len(s.admin.Table("workers")) == base })
		}
		c := ask(t, s.http, post("stays", "abc", "X-Gearman-Background: true"))
		r := c.reply("POST")
		c.Close()
		if got := grab(wire.Dial(t, s.broker.Addr), "stays"); got.handle != r.handle || got.argument != "abc" {
			t.Errorf("job %v, answer %v", got, r)
		}
	})
}

// When a worker disconnects another gets its job.
func TestWorkerGoes(t *testing.T) {
	onBoth(t, func(t *testing.T, s site) {
		c := ask(t, s.http, post("f", "abc"))
		w := wire.Dial(t, s.broker.Addr)
		first := grab(w, "f")
		w.Close()
		w = wire.Dial(t, s.broker.Addr)
		second := grab(w, "f")
		w.Send(codec.WorkComplete, second.handle, "done")
		if r := c.reply("POST"); first.handle != second.handle || r.handle != first.handle || r.body != "done" {
			t.Errorf("jobs %v and %v, answer %v", first, second, r)
		}
	})
}

func TestLarge(t *testing.T) {
	onBoth(t, func(t *testing.T, s site) {
		argument, result := strings.Repeat("argument", 1<<20), strings.Repeat("result", 1<<20)
		for _, size := range []int{1, wholeBody - 1, wholeBody, wholeBody + 1, 2*pieceSize + 1, len(argument)} {
			c := dial(t, s.http)
			go c.send(post("f", argument[:size]))
			w := wire.Dial(t, s.broker.Addr)
			got := grab(w, "f")
			if got.argument != argument[:size] {
				t.Errorf("%d bytes have become %d others", size, len(got.argument))
			}
			size = min(size, len(result))
			go func() {
				w.Send(codec.WorkComplete, got.handle, result[:size])
				w.Send(codec.ResetAbilities)
			}()
			r := c.reply("POST")
			if r.body != result[:size] || r.handle != got.handle || r.cut {
				t.Errorf("answer %v", r)
			}
		}
	})
}

// The sizes of these results lie at the edges of the buffers.
func TestResultSizes(t *testing.T) {
	s := ours(t)
	w := wire.Dial(t, s.broker.Addr)
	result := strings.Repeat("0123456789abcdef", 40<<10)
	sizes := []int{0, 1, 511, 512, 513, readerSize - 12, readerSize, readerSize + 1, 32 << 10,
		resultPiece - 1, resultPiece, resultPiece + 1, 2*resultPiece + readerSize}
	for _, size := range sizes {
		for _, method := range []string{"POST", "GET", "HEAD"} {
			c := ask(t, s.http, request(method+" /f HTTP/1.1"))
			got := grab(w, "f")
			w.Send(codec.WorkComplete, got.handle, result[:size])
			want := result[:size]
			if method == "HEAD" {
				want = ""
			}
			if r := c.reply(method); r.body != want || r.cut {
				t.Errorf("%s, %d bytes: %v", method, size, r)
			}
			c.wantEnd()
		}
	}
}

// Only Gearloop has these: a body without a length, data before the end, and the wait for the end.
func TestData(t *testing.T) {
	s := ours(t)
	w := wire.Dial(t, s.broker.Addr)
	long := strings.Repeat("long", 100<<10)
	chunked := "POST /f HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + "X-Gearman-Final: true\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
	type packets []step
	for _, test := range []struct {
		name, raw, argument string
		does                packets
		want                answer
	}{
		{"chunked", chunked, "abcde", complete, done("result")},
		{"data", post("f", "abc"), "abc",
			packets{{codec.WorkData, []string{"one"}}, {codec.WorkData, []string{"two"}}, complete[0]}, done("onetworesult")},
		{"data and no result", post("f", "abc"), "abc",
			packets{{codec.WorkData, []string{long}}, {codec.WorkComplete, []string{""}}}, done(long)},
		{"much data", post("f", "abc"), "abc",
			packets{{codec.WorkData, []string{long}}, {codec.WorkData, []string{""}}, {codec.WorkData, []string{long}}, {codec.WorkComplete, []string{long}}},
			done(long + long + long)},
		{"data with NULs", post("f", "abc"), "abc",
			packets{{codec.WorkData, []string{"a\x00b"}}, {codec.WorkComplete, []string{"\x00"}}}, done("a\x00b\x00")},
		{"data, then failed", post("f", "abc"), "abc",
			packets{{codec.WorkData, []string{"one"}}, {codec.WorkFail, nil}}, answer{200, "WORK_FAIL", "whole", "one", "3"}},
		{"data, status, warning", post("f", "abc"), "abc",
			packets{{codec.WorkData, []string{"one"}}, {codec.WorkStatus, []string{"1", "2"}}, {codec.WorkWarning, []string{"!"}}, complete[0]},
			done("oneresult")},
		{"the end is waited for", post("f", "abc", "X-Gearman-Final: true"), "abc",
			packets{{codec.WorkStatus, []string{"1", "2"}}, {codec.WorkWarning, []string{long}}, complete[0]}, done("result")},
		{"HEAD and data", request("HEAD /f HTTP/1.1"), "",
			packets{{codec.WorkData, []string{"one"}}, complete[0]}, answer{200, "", "whole", "", "9"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := ask(t, s.http, test.raw)
			got := grab(w, "f")
			if got.argument != test.argument {
				t.Errorf("argument %q", got.argument)
			}
			for _, st := range test.does {
				w.Send(st.kind, append([]string{got.handle}, st.args...)...)
			}
			method, _, _ := strings.Cut(test.raw, " ")
			r := c.reply(method)
			test.want.handle = got.handle
			if have := (answer{r.status, r.command, r.handle, r.body, r.header.Get("Content-Length")}); have != test.want || r.cut {
				t.Errorf("got %v, want %.300v", r, test.want)
			}
		})
	}
}

// With the option --exceptions the answer is the exception.
func TestException(t *testing.T) {
	dial, links := puppet(t)
	_, addr := serve(t, Config{Dial: dial})
	c := ask(t, addr, post("f", "abc"))
	l := next(t, links)
	l.want(codec.SubmitJob, "f", "-", "abc")
	l.send(codec.JobCreated, "H:x:1")
	l.send(codec.WorkException, "H:x:1", "boom")
	if r := c.reply("POST"); r.status != 200 || r.command != "WORK_EXCEPTION" || r.body != "boom" || r.handle != "H:x:1" {
		t.Errorf("answer %v", r)
	}
	l.wantEnd()
}
