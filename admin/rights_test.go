package admin

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/sched"
)

// someRights gives rights to the functions of which the name begins so.
type someRights struct {
	prefix  string
	rights  sched.Right
	version atomic.Uint64
	refused []sched.Right
}

func (s *someRights) Of(function string) sched.Right {
	if strings.HasPrefix(function, s.prefix) {
		return s.rights
	}
	return 0
}

func (s *someRights) Some() sched.Right { return s.rights }

func (s *someRights) All() sched.Right {
	if s.prefix == "" {
		return s.rights
	}
	return 0
}

func (s *someRights) Version() *atomic.Uint64 { return &s.version }

func (s *someRights) Refused(want sched.Right, _ string) { s.refused = append(s.refused, want) }

// ask sends a line with rights and returns the whole answer.
func (b *board) ask(line string, rights sched.Rights) string {
	text, table, _ := b.Execute([]byte(line), Asker{From: Network, Rights: rights}, time.Now(), &b.fx)
	for more := table != nil; more; {
		text, _, more = table.Next(text)
	}
	return string(text)
}

// A row of workers that is produced in several parts has the functions that may be seen, wherever they stand,
// and is not there without one.
func TestSeenPartsOfWorkers(t *testing.T) {
	for _, at := range [][]int{{0}, {partFunctions - 1}, {partFunctions}, {2 * partFunctions, 3*partFunctions - 1}, {0, partFunctions, 299}, nil} {
		b := newBoard(t)
		w := b.peer(7, "192.0.2.1:1000")
		seen := map[int]bool{}
		for _, i := range at {
			seen[i] = true
		}
		want := ""
		for i := range 3*partFunctions + 1 {
			name := fmt.Sprint("hidden", i)
			if seen[i] {
				name = fmt.Sprint("seen", i)
				want += " " + name
			}
			b.send(w, codec.CanDo, name)
		}
		if want != "" {
			want = "7 192.0.2.1 - :" + want + "\n"
		}
		if got := b.ask("workers", &someRights{prefix: "seen", rights: sched.MayLook}); got != want+".\n" {
			t.Errorf("%v: %q, want %q", at, got, want)
		}
	}
}

// Who may look at every function sees the same as who has no list, byte for byte.
func TestSeesAll(t *testing.T) {
	b := newBoard(t)
	client, worker := b.peer(7, "192.0.2.1:1000"), b.peer(8, "")
	b.peer(9, "")
	for i := range 300 {
		b.send(worker, codec.CanDo, fmt.Sprint("f", i))
	}
	b.send(client, codec.SubmitJob, "f1", "u", "x")
	for _, line := range []string{"status", "workers", "jobs", "clients", "prioritystatus", "show jobs", "show unique jobs", "version", "bogus"} {
		want, _ := b.answer(line, Loopback)
		if got := b.ask(line, &someRights{rights: sched.MayLook}); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

// Rights decide instead of Allow, also for a peer that Allow would let in.
func TestRightsInsteadOfAllow(t *testing.T) {
	b := newBoard(t)
	b.Allow = AllowAny
	none := &someRights{}
	open := 0
	for line, cmd := range commands {
		if cmd.anyone {
			open++
			continue
		}
		if got := b.ask(line+" x", none); !strings.HasPrefix(got, "ERR not_allowed ") {
			t.Errorf("%s without rights: %q", line, got)
		}
	}
	if len(none.refused) != len(commands)-open {
		t.Errorf("%d refusals, want %d", len(none.refused), len(commands)-open)
	}
	b.Allow = AllowNone
	if got := b.ask("maxqueue f 3", &someRights{prefix: "f", rights: sched.MayAdminister}); got != "OK\n" {
		t.Errorf("with the right: %q", got)
	}
}

var _ sched.Rights = (*someRights)(nil)
