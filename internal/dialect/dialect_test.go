package dialect

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
)

func TestNames(t *testing.T) {
	if got := Names(); !slices.Contains(got, "perl") {
		t.Errorf("Names() = %q", got)
	}
	seen := map[string]bool{}
	for _, name := range Names() {
		d, err := Named(name)
		if err != nil || d == nil || d.Name != name {
			t.Errorf("Named(%q) = %v, %v", name, d, err)
		}
		if seen[name] {
			t.Errorf("two dialects are called %q", name)
		}
		seen[name] = true
	}
	if d, err := Named("perl"); d != Perl || err != nil {
		t.Errorf("Named(perl) = %v, %v", d, err)
	}
	for _, name := range []string{"", "Perl", "perl ", "perl,c", "pearl"} {
		d, err := Named(name)
		if d != nil || err == nil {
			t.Errorf("Named(%q) = %v, %v", name, d, err)
			continue
		}
		for _, part := range append(Names(), `"`+name+`"`) {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("the error for %q does not tell %s: %v", name, part, err)
			}
		}
	}
}

// TestEveryColumnIsFilled: each dialect has an answer to every text command and a name for every error.
func TestEveryColumnIsFilled(t *testing.T) {
	for _, name := range Names() {
		d, err := Named(name)
		if err != nil {
			t.Fatal(err)
		}
		v := reflect.ValueOf(*d)
		for i := range v.NumField() {
			field, value := v.Type().Field(i), v.Field(i)
			if e, ok := value.Interface().(Error); ok && e.Code == "" && field.Name != "NotExpected" && field.Name != "LongHandle" {
				t.Errorf("%s: %s has no code", name, field.Name)
			}
			if value.Kind() == reflect.Func && value.IsNil() {
				t.Errorf("%s: %s is missing", name, field.Name)
			}
		}
		for _, line := range []string{d.Version("1"), d.OK, d.ERR(d.UnknownCommand, "x")} {
			if !strings.HasSuffix(line, "\n") || strings.Count(line, "\n") != 1 {
				t.Errorf("%s: %q is not one line", name, line)
			}
		}
	}
}

// TestPerlPackets has the data of ERROR and the empty fields of STATUS_RES as the Perl server sends them, and
// Gearloop's own where the Perl server has no answer.
func TestPerlPackets(t *testing.T) {
	d := Perl
	for _, c := range []struct {
		name string
		e    Error
		want string // data of the ERROR packet
	}{
		{"unknown option", d.UnknownOption, "unknown_option\x00"},
		{"result of somebody else", d.NotWorker(codec.WorkComplete), "not_worker\x00"},
		{"submission without NULs", d.InvalidArgs.With("No func/uniq header [%s].", "reverse"), "invalid_args\x00No func/uniq header [reverse]."},
		{"packet nobody knows", d.ServerError.With("x"), "server_error\x00x"},
		{"ours: queue full", d.QueueFull, "queue_full\x00Job queue is full"},
		{"ours: magic", d.InvalidMagic, "invalid_magic\x00Request magic expected"},
		{"ours: too large", d.TooLarge, "packet_too_large\x00Packet is larger than the server allows"},
	} {
		if got := c.e.Code + "\x00" + c.e.Text; got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if d.NoNumber != "" {
		t.Errorf("no numbers are told as %q", d.NoNumber)
	}
}

// TestPerlLines compares answers to text commands byte for byte.
func TestPerlLines(t *testing.T) {
	d := Perl
	for _, c := range []struct{ name, got, want string }{
		{"version", d.Version("1.130.1"), "v1.130.1\n"},
		{"maxqueue", d.OK, "OK\n"},
		{"unknown command", d.ERR(d.UnknownCommand, "bogus"), "ERR unknown_command Unknown+server+command\r\n"},
		{"empty line", d.ERR(d.UnknownCommand, ""), "ERR unknown_command Unknown+server+command\r\n"},
		{"maxqueue alone", d.ERR(d.IncompleteArgs, "maxqueue"), "ERR incomplete_args An+incomplete+set+of+arguments+was+sent+to+this+command\r\n"},
		{"shutdown now", d.ERR(d.UnknownArgs, "shutdown"), "ERR unknown_args Unknown+arguments+to+server+command\r\n"},
		{"ours: not allowed", d.ERR(d.NotAllowed("Only local connections"), "shutdown"), "ERR not_allowed Only+local+connections+may+send+this+command\r\n"},
		{"ours: line too long", d.ERR(d.LineTooLong, ""), "ERR line_too_long The+command+line+is+too+long\r\n"},
		{"a text with all kinds of characters", d.ERR(Error{"x", "50% of \"a\nb\", c-d./\\: e+f"}, ""), "ERR x 50%25+of+%22a%0Ab%22,+c-d./\\:+e%2Bf\r\n"},
		{"a text of nothing", d.ERR(Error{"x", ""}, ""), "ERR x \r\n"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.name, c.got, c.want)
		}
	}
}

// TestPerlBehaviour has the other rows of the table.
func TestPerlBehaviour(t *testing.T) {
	d := Perl
	for _, c := range []struct {
		row       string
		got, want any
	}{
		{"a submission without its NULs leaves the connection open", d.MissingArgs, Answer},
		{"so does an empty function", d.EmptyFunction, Answer},
		{"so does a line feed in a name", d.NewlineInName, Answer},
		{"so does an unknown packet", d.UnknownPacket, Answer},
		{"two high jobs are last in, first out", d.HighNewestFirst, true},
		{"functions are taken in rotation", d.Assign, Rotate},
		{"the job of a lost worker fails", d.LostJob, LostFails},
		{"the worker itself fails the job after an exception", d.ExceptionEnds, false},
		{"a late result gets no answer", d.LateResult, true},
		{"over maxqueue the newest job goes", d.QueueEvicts, true},
		{"three sleepers are woken", d.Wakeup, 3},
		{"and three more after a tenth of a second", d.WakeupDelay, 100 * time.Millisecond},
		{"client ids lose their white space", d.TrimClientID, true},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", c.row, c.got, c.want)
		}
	}
}

// TestWithLeavesTheTableAlone: a text that is filled in for one answer does not affect the next.
func TestWithLeavesTheTableAlone(t *testing.T) {
	before := Perl.InvalidArgs
	e := Perl.InvalidArgs.With("%d%%", 5)
	if e.Text != "5%" || e.Code != before.Code || Perl.InvalidArgs != before {
		t.Errorf("With gave %q, the table has %q", e, Perl.InvalidArgs)
	}
}
