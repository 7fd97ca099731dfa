package codec

import (
	"bytes"
	"strings"
	"testing"
)

// line is one line of text as it stands on the wire beside what it says.
type line struct{ name, raw, text string }

// want returns the item that the whole line is.
func (l line) want() Item {
	return Item{Kind: Line, Data: []byte(l.text), Len: len(l.raw)}
}

// lines are whole lines of text.
var lines = []line{
	{"a command", "status\n", "status"},
	{"with a carriage return", "status\r\n", "status"},
	{"with an argument", "maxqueue reverse 10\n", "maxqueue reverse 10"},
	{"empty", "\n", ""},
	{"empty with a carriage return", "\r\n", ""},
	{"of one letter", "x\n", "x"},
	{"of one letter with a carriage return", "x\r\n", "x"},
	{"that begins with a blank", " status\n", " status"},
	{"of blanks", " \t \n", " \t "},
	{"a carriage return within", "a\rb\n", "a\rb"},
	{"two carriage returns at the end", "status\r\r\n", "status\r"},
	{"carriage return in front", "\rstatus\n", "\rstatus"},
	{"a NUL within", "a\x00REQ\n", "a\x00REQ"},
	{"not ASCII", "\xff\xfe\xc3\xa4\n", "\xff\xfe\xc3\xa4"},
	{"as long as allowed", strings.Repeat("y", MaxLine) + "\n", strings.Repeat("y", MaxLine)},
	{"as long as allowed with a carriage return", strings.Repeat("z", MaxLine) + "\r\n", strings.Repeat("z", MaxLine)},
}

// TestLineAtEveryCut gives Next every beginning of every line.
func TestLineAtEveryCut(t *testing.T) {
	for _, l := range lines {
		t.Run(l.name, func(t *testing.T) {
			for n := range len(l.raw) {
				expect(t, bytes.Clone([]byte(l.raw[:n])), 0, Item{})
			}
			buf := []byte(l.raw)
			expect(t, buf, 0, l.want())
			if it, _ := Next(buf, 0); len(it.Data) > 0 && &it.Data[0] != &buf[0] {
				t.Error("the text is a copy")
			}
		})
	}
}

// TestLineLeavesTheRest puts other bytes behind every line: they change nothing, and what
// is appended to the text does not run into them.
func TestLineLeavesTheRest(t *testing.T) {
	for _, l := range lines {
		for _, rest := range []string{"\n", "\r", "\r\n", "\x00", "status", clientWires[0].raw} {
			buf := []byte(l.raw + rest)
			expect(t, buf, 0, l.want())
			it, _ := Next(buf, 0)
			_ = append(it.Data, "!!"...)
			if got := string(buf); got != l.raw+rest {
				t.Errorf("%s: appending to the text made %q", l.name, got)
			}
		}
	}
}

// TestLoneCarriageReturn: without a line feed it ends nothing.
func TestLoneCarriageReturn(t *testing.T) {
	for _, raw := range []string{"\r", "\r\r", "status\r", "a\rb\r", "\rstatus"} {
		expect(t, []byte(raw), 0, Item{})
	}
}

func TestLineLimit(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct {
		name, raw string
		err       error
		kind      Kind
	}{
		{"the longest text, its end still to come", x(MaxLine), nil, Incomplete},
		{"the longest text and a carriage return", x(MaxLine) + "\r", nil, Incomplete},
		{"the longest text", x(MaxLine) + "\n", nil, Line},
		{"the longest text before CRLF", x(MaxLine) + "\r\n", nil, Line},
		{"one more", x(MaxLine+1) + "\n", ErrLineTooLong, 0},
		{"one more before CRLF", x(MaxLine+1) + "\r\n", ErrLineTooLong, 0},
		{"one more by a carriage return that is text", x(MaxLine) + "\r\r\n", ErrLineTooLong, 0},
		{"two more, no end in sight", x(MaxLine + 2), ErrLineTooLong, 0},
		{"much more, no end in sight", x(1 << 20), ErrLineTooLong, 0},
		{"much more, with an end", x(1<<20) + "\n", ErrLineTooLong, 0},
		{"line feeds far behind a short line", "status\n" + x(1<<20), nil, Line},
	} {
		it, err := Next([]byte(c.raw), 0)
		if err != c.err || err == nil && it.Kind != c.kind {
			t.Errorf("%s: kind %d, error %v", c.name, it.Kind, err)
		}
	}
}

// commands are lines beside the command and the rest that they are.
var commands = []struct{ line, command, args string }{
	{"status", "status", ""},
	{"STATUS", "status", ""},
	{"sTaTuS", "status", ""},
	{"maxqueue reverse 10", "maxqueue", "reverse 10"},
	{"maxqueue \t\v\f\r reverse  10 ", "maxqueue", "reverse  10 "},
	{"MaxQueue Reverse", "maxqueue", "Reverse"},
	{"shutdown graceful", "shutdown", "graceful"},
	{"status ", "status", ""},
	{"a_Z09 x", "a_z09", "x"},
	{"1", "1", ""},
	{"foo-bar", "foo", "-bar"},
	{"status\x00x", "status", "\x00x"},
	{"status\r", "status", ""},
	{"\xc3\xa4", "", "\xc3\xa4"},
	{"t\xc3\xa4st", "t", "\xc3\xa4st"},
	{"status\u00a0x", "status", "\u00a0x"},
	{"\u212aelvin", "", "\u212aelvin"}, // the Kelvin sign, a k in lower case
	{"", "", ""},
	{" status", "", "status"},
	{"-x", "", "-x"},
}

func TestCommand(t *testing.T) {
	for _, c := range commands {
		command, args := Command([]byte(c.line))
		if command != c.command || args != c.args {
			t.Errorf("Command(%q) = %q, %q, want %q, %q", c.line, command, args, c.command, c.args)
		}
	}
}

// TestCommandKeepsNothing changes the line afterwards.
func TestCommandKeepsNothing(t *testing.T) {
	buf := []byte("status reverse")
	command, args := Command(buf)
	copy(buf, "xxxxxxxxxxxxxxxxxx")
	if command != "status" || args != "reverse" {
		t.Errorf("%q, %q", command, args)
	}
}

func TestEscape(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"Unknown server command", "Unknown+server+command"},
		{"a  b", "a++b"},
		{`AZaz09_,-./\:`, `AZaz09_,-./\:`},
		{"+", "%2B"},
		{"%", "%25"},
		{"a\tb\r\nc", "a%09b%0D%0Ac"},
		{"\x00\x7f\x80\xff", "%00%7F%80%FF"},
		{"\u00e4", "%C3%A4"},
		{`!"#$&'()*;<=>?@[]^{|}~` + "`", "%21%22%23%24%26%27%28%29%2A%3B%3C%3D%3E%3F%40%5B%5D%5E%7B%7C%7D%7E%60"},
	} {
		if got := Escape(c.text); got != c.want {
			t.Errorf("Escape(%q) = %q, want %q", c.text, got, c.want)
		}
	}
}
