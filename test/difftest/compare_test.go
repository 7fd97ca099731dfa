package difftest

import (
	"bufio"
	"os"
	"strings"
	"testing"

	"gearloop/test/peers"
)

// playTo plays a script to a new server.
func playTo(t *testing.T, kind peers.Kind, script string) string {
	t.Helper()
	sc, err := parseScenario(t.Name(), script)
	if err != nil {
		t.Fatal(err)
	}
	out, err := play(sc, reference, peers.Start(t, kind, sc.optionsFor(reference)...))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return sc.comparable(out)
}

const threeSleepers = `
open c w1 w2 w3
repeat 3
w$i CAN_DO f
w$i PRE_SLEEP
end
c SUBMIT_JOB f "" 1
`

// TestDifferencesShow plays a story to two servers that behave differently.
func TestDifferencesShow(t *testing.T) {
	one := playTo(t, peers.Perl, "options --wakeup 1 --wakeup-delay -1\n"+threeSleepers)
	two := playTo(t, peers.Perl, "options --wakeup 2 --wakeup-delay -1\n"+threeSleepers)
	want := "" +
		"  c SUBMIT_JOB f \"\" 1\n" +
		"      c: JOB_CREATED H1\n" +
		"      w1: NOOP\n" +
		"one:\n" +
		"two:\n" +
		"!     w2: NOOP\n"
	if got := differences("one", one, "two", two); got != want {
		t.Errorf("the difference is told as\n%s\nwant\n%s", got, want)
	}
	again := playTo(t, peers.Perl, "options --wakeup 1 --wakeup-delay -1\n"+threeSleepers)
	if d := differences("one", one, "again", again); d != "" {
		t.Errorf("the same server differs from itself:\n%s", d)
	}
}

// TestOtherReference plays a story to the C server: the harness needs nothing that
// only the Perl server has.
func TestOtherReference(t *testing.T) {
	got := playTo(t, peers.C, `
open c w
w CAN_DO f
w SET_CLIENT_ID "a b"
w PRE_SLEEP
c SUBMIT_JOB f u 1
c text workers
w GRAB_JOB_UNIQ
w WORK_DATA $H1 x
w close
c raw "\0RES\0\0\0\x10\0\0\0\0"
c! PACKET_99
c! expect closed
`)
	want := strings.TrimSpace(`
c SUBMIT_JOB f u 1
    c: JOB_CREATED H1
    w: NOOP
c text workers
    c: line "<c> 127.0.0.1 - :\n"
    c: line "<w> 127.0.0.1 a b : f\n"
    c: line ".\n"
w GRAB_JOB_UNIQ
    w: JOB_ASSIGN_UNIQ H1 f u 1
w WORK_DATA $H1 x
    c: WORK_DATA H1 x
c raw "\0RES\0\0\0\x10\0\0\0\0"
    c: ERROR INVALID_MAGIC "Request magic expected"
c! expect closed
    c: closed
`)
	if d := differences("want", want, "got", got); d != "" {
		t.Errorf("%s\nwhole:\n%s", d, got)
	}
}

func TestReadEvent(t *testing.T) {
	in := bufio.NewReader(strings.NewReader("\x00RES\x00\x00\x00\x1f\x00\x00\x00\x0cH:x:1\x00f\x00u\x00ar" + "OK\r\n" + "rest"))
	var got []string
	n := newNaming()
	for {
		e, err := readEvent(in)
		if err != nil {
			break
		}
		got = append(got, n.render(nil, e))
	}
	want := `JOB_ASSIGN_UNIQ H:x:1 f u ar|line "OK\r\n"|broken rest`
	if strings.Join(got, "|") != want {
		t.Errorf("read %q, want %q", strings.Join(got, "|"), want)
	}
}

func TestReadEventOfBrokenBytes(t *testing.T) {
	for in, want := range map[string]string{
		"\x00REQ\x00\x00\x00\x01\x00\x00\x00\x00": `broken "\x00REQ\x00\x00\x00\x01\x00\x00\x00\x00"`,
		"\x00RES\x00": `broken "\x00RES\x00"`,
		"\x00RES\x00\x00\x00\x06\x00\x00\x00\x05a": "broken a",
	} {
		e, err := readEvent(bufio.NewReader(strings.NewReader(in)))
		if err != nil {
			t.Fatal(err)
		}
		if got := newNaming().render(nil, e); got != want {
			t.Errorf("%q is read as %s, want %s", in, got, want)
		}
	}
}

func TestNaming(t *testing.T) {
	n := newNaming()
	n.addrs["127.0.0.1:4000"] = "<c>"
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	h := "H:" + host + ":"
	steps := []struct {
		in   event
		want string
	}{
		{event{number: 8, data: h + "12"}, "JOB_CREATED H1"},
		{event{number: 8, data: h + "3"}, "JOB_CREATED H2"},
		{event{number: 13, data: h + "12\x00" + "a\x00b " + h + "3"}, `WORK_COMPLETE H1 "a\x00b H2"`},
		{event{number: 8, data: h + "03"}, "JOB_CREATED " + h + "03"},
		{event{number: 8, data: "H:elsewhere:1"}, "JOB_CREATED H:elsewhere:1"},
		{event{number: 20, data: "x\x000"}, "STATUS_RES x 0"},
		{event{number: 6, data: ""}, "NOOP"},
		{event{number: 6, data: "x"}, "NOOP x"},
		{event{number: 77, data: ""}, `PACKET_77 ""`},
		{event{number: 17, data: pattern(5 << 20)}, "ECHO_RES @5MiB"},
		{event{number: 17, data: pattern(300)}, "ECHO_RES @300"},
		{event{kind: lineEvent, data: "f\tu\t127.0.0.1:4000\t1\n"}, `line "f\tu\t<c>\t1\n"`},
		{event{kind: lineEvent, data: "v12.3.4\n"}, `line "v<version>\n"`},
		{event{kind: lineEvent, data: "v12.3\n"}, `line "v12.3\n"`},
		{event{kind: closedEvent}, "closed"},
	}
	for _, s := range steps {
		if got := n.render(nil, s.in); got != s.want {
			t.Errorf("got %s, want %s", got, s.want)
		}
	}
	long := n.render(nil, event{number: 17, data: pattern(5 << 20)[1:]})
	if !strings.Contains(long, "(5242879 bytes, sha256 ") {
		t.Errorf("long data are shown as %s", long)
	}
}

// TestListings sorts rows without an order and leaves the others.
func TestListings(t *testing.T) {
	n := newNaming()
	n.addrs = map[string]string{"127.0.0.1:1": "<b>", "127.0.0.1:2": "<a>", "127.0.0.1:3": playerName}
	n.fds = map[string]string{"9": "<b>", "11": "<a>", "5": playerName}
	n.order = []string{"<b>", "<a>"}
	answer := func(commands []string, lines ...string) string {
		c := &connection{listings: commands}
		var shown []string
		for _, l := range lines {
			shown = append(shown, n.render(c, event{kind: lineEvent, data: l + "\n"}))
		}
		return strings.ReplaceAll(strings.Join(n.sortListings(c, shown), "|"), "line ", "")
	}
	for _, tc := range []struct{ got, want string }{
		{answer([]string{"JOBS "}, "g\t\t-\t1", "f\t\t-\t1", "."), `"f\t\t-\t1\n"|"g\t\t-\t1\n"|".\n"`},
		{answer([]string{"status"}, "g\t1", "f\t1", "."), `"g\t1\n"|"f\t1\n"|".\n"`},
		{answer([]string{"clients"}, "127.0.0.1:1", "\tz", "\ty", "127.0.0.1:3", "127.0.0.1:2", "\tx", "."),
			`"<a>\n"|"\tx\n"|"<b>\n"|"\ty\n"|"\tz\n"|".\n"`},
		{answer([]string{"workers"}, "5 127.0.0.1 - : ", "9 127.0.0.1 - : y x", "11 127.0.0.1 i : ", "."),
			`"<b> 127.0.0.1 - : x y\n"|"<a> 127.0.0.1 i : \n"|".\n"`},
		{answer([]string{"workers"}, "11 127.0.0.1 i : ", "9 127.0.0.1 - : ", "."),
			`descriptors are not in their order|"<b> 127.0.0.1 - : \n"|"<a> 127.0.0.1 i : \n"|".\n"`},
		{answer([]string{"version", "jobs"}, "v1.2.3", "b", "a", "."), `"v<version>\n"|"a\n"|"b\n"|".\n"`},
		{answer([]string{"gladiator all"}, "      1 x", "     12 y", "."), `"<count> x\n"|"<count> y\n"|".\n"`},
		{answer([]string{"jobs"}, "ERR no thanks", "b", "a"), `"ERR no thanks\n"|"b\n"|"a\n"`},
	} {
		if tc.got != tc.want {
			t.Errorf("got  %s\nwant %s", tc.got, tc.want)
		}
	}
}

func TestTranscriptForms(t *testing.T) {
	tr := transcript{
		{1, "c TWICE", "w", "NOOP"}, {1, "c TWICE", "c", "a"}, {1, "c TWICE", "c", "a"},
		{2, "c TWICE", "c", "a"}, {3, "w X", "w", "b"},
	}
	steps := "c TWICE\n    w: NOOP\n    c: a (2 times)\nc TWICE\n    c: a\nw X\n    w: b\n"
	if got := tr.String(); got != steps {
		t.Errorf("by step:\n%s\nwant\n%s", got, steps)
	}
	conns := "c\n    a\n    a\n    a\nw\n    NOOP\n    b\n"
	if got := tr.byConnection(); got != conns {
		t.Errorf("by connection:\n%s\nwant\n%s", got, conns)
	}
	if (&scenario{}).comparable(tr) == (&scenario{loose: true}).comparable(tr) {
		t.Error("strict and loose scenarios are compared alike")
	}
}
