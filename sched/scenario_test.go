package sched

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"gearloop/codec"
	"gearloop/internal/dialect"
)

// TestScenarios plays the stories in testdata/scenarios. A story is a row of steps; each is a line with,
// behind "----", exactly what the peers were sent for it, and every step is followed by a check of all
// invariants. A blank line ends a step.
//
//	server [dialect=c] [store] [retries=N] [wakeup=N] [herd=N]
//	                                                    a new scheduler, nobody connected
//	open NAME...                                        peers connect
//	NAME PACKET ARG...                                  a peer sends a packet; "" is an empty argument, h1 the first
//	                                                    handle that was seen, +5s so many seconds after the beginning
//	NAME leaves                                         its connection ends
//	at 5s                                               time passes until then, timers fire
//	stored [refused] [N]                                the store keeps, or refuses, what it was given (N jobs)
//	maxqueue FUNCTION N | cancel HANDLE | create FUNCTION | drop FUNCTION | unwanted | shelve | freeze
//	jobs | functions | counters | timers                tells what there is
//
// The places of packets that are still to come are shown as #1, #2 ...: what stands behind one is held back
// until it is filled. After a change that is meant, write the files anew with
//
//	go test ./sched -run TestScenarios -rewrite
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/scenarios", func(t *testing.T, path string) {
		s := &scenario{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if s.rig != nil {
				s.rig.TB = t
			}
			var out strings.Builder
			if err := s.step(t, d, &out); err != nil {
				d.Fatalf(t, "%v", err)
			}
			s.sent(&out)
			return out.String()
		})
	})
}

// scenario is a story under way.
type scenario struct {
	*rig
	names []string // of peers, in the order in which they connected
	peers map[string]*Peer
}

// step takes a step.
func (s *scenario) step(t *testing.T, d *datadriven.TestData, out *strings.Builder) error {
	var args []string
	for _, a := range d.CmdArgs {
		args = append(args, a.Key)
	}
	if d.Cmd == "server" {
		return s.server(t, d)
	}
	if p := s.peers[d.Cmd]; p != nil {
		return s.peer(p, args)
	}
	want := map[string]int{"at": 1, "maxqueue": 2, "cancel": 1, "create": 1, "drop": 1}
	if n, ok := want[d.Cmd]; ok && n != len(args) {
		return fmt.Errorf("%s takes %d arguments", d.Cmd, n)
	}
	var fx Effects
	switch d.Cmd {
	case "open":
		for _, name := range args {
			s.names = append(s.names, name)
			s.peers[name] = s.connect()
		}
	case "at":
		after, err := time.ParseDuration(args[0])
		if err != nil {
			return err
		}
		s.at(after)
	case "stored":
		return s.stored(args)
	case "maxqueue":
		n, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		s.s.SetMaxQueue(args[0], bounds(n))
	case "cancel":
		if !s.s.Cancel(s.real(args[0]), s.now, &fx) {
			fmt.Fprintln(out, "no such job")
		}
		s.carry(&fx)
		s.until(s.now)
	case "create":
		s.s.CreateFunction(args[0])
	case "drop":
		known, inUse := s.s.DropFunction(args[0], s.now, &fx)
		fmt.Fprintf(out, "known: %v, in use: %v\n", known, inUse)
		s.carry(&fx)
	case "unwanted":
		s.s.DropUnwanted(s.now)
	case "shelve":
		s.s.Shelve()
	case "freeze":
		s.s.Freeze()
	case "jobs":
		s.printJobs(out)
	case "functions":
		s.printFunctions(out)
	case "counters":
		s.printCounters(out)
	case "timers":
		fmt.Fprintln(out, len(s.timers), "set")
	default:
		return fmt.Errorf("unknown step %q", d.Cmd)
	}
	s.check()
	return nil
}

// server begins with a new scheduler.
func (s *scenario) server(t *testing.T, d *datadriven.TestData) error {
	cfg := perl()
	fake := (*fakeStore)(nil)
	for _, a := range d.CmdArgs {
		n := 0
		if len(a.Vals) == 1 {
			n, _ = strconv.Atoi(a.Vals[0])
		}
		switch a.Key {
		case "dialect":
			named, err := dialect.Named(a.Vals[0])
			if err != nil {
				return err
			}
			cfg.Dialect = named
		case "store":
			fake = newFakeStore()
		case "retries":
			cfg.JobRetries = n
		case "herd":
			cfg.Herd = n
		case "wakeup":
			cfg.Wakeup = n
		default:
			return fmt.Errorf("unknown setting %q", a.Key)
		}
	}
	s.rig, s.names, s.peers = newRig(t, cfg), nil, map[string]*Peer{}
	if fake != nil {
		s.attach(fake)
	}
	return nil
}

// peer has a peer do something.
func (s *scenario) peer(p *Peer, args []string) error {
	if len(args) == 1 && args[0] == "leaves" {
		s.leave(p)
		return nil
	}
	for typ := codec.CanDo; typ <= codec.JobAssignAll+10; typ++ {
		if len(args) > 0 && typ.String() == args[0] {
			var sent []string
			for _, a := range args[1:] {
				sent = append(sent, s.real(a))
			}
			s.do(p, typ, sent...)
			if s.hangup {
				s.got[p] = append(s.got[p], "hang up")
			}
			return nil
		}
	}
	return fmt.Errorf("no packet %q", args)
}

// real returns what a word of a story stands for.
func (s *scenario) real(word string) string {
	if word == `""` {
		return ""
	}
	if seconds, ok := strings.CutPrefix(word, "+"); ok {
		if after, err := time.ParseDuration(seconds); err == nil {
			return strconv.FormatInt(start.Add(after).Unix(), 10)
		}
	}
	for handle, name := range s.rig.names {
		if name == word {
			return handle
		}
	}
	return word
}

// stored has the store say what became of the jobs that it was given.
func (s *scenario) stored(args []string) error {
	n, err := -1, error(nil)
	for _, a := range args {
		if a == "refused" {
			err = errDisk
		} else if n, _ = strconv.Atoi(a); n == 0 {
			return fmt.Errorf("stored: unknown word %q", a)
		}
	}
	if s.store == nil || len(s.store.waiting) == 0 {
		return fmt.Errorf("stored: nothing waits for it")
	}
	s.receive(n, err)
	return nil
}

// sent writes what peers were sent, but for what stands behind a place that is not filled, and forgets it.
func (s *scenario) sent(out *strings.Builder) {
	if s.rig == nil {
		return
	}
	for _, name := range s.names {
		p := s.peers[name]
		for len(s.got[p]) > 0 && s.got[p][0][0] != '#' {
			fmt.Fprintf(out, "%s: %s\n", name, s.got[p][0])
			s.got[p] = s.got[p][1:]
		}
		if len(s.got[p]) > 0 {
			fmt.Fprintf(out, "%s waits: %s\n", name, strings.Join(s.got[p], ", "))
		}
	}
}

func (s *scenario) nameOf(p *Peer) string {
	for name, other := range s.peers {
		if other == p {
			return name
		}
	}
	return "nobody"
}

func (s *scenario) printJobs(out *strings.Builder) {
	jobs := s.s.Jobs()
	slices.SortFunc(jobs, func(a, b JobInfo) int { return cmp.Compare(a.Number, b.Number) })
	for _, j := range jobs {
		name := s.rig.names[string(s.s.AppendHandle(nil, j.Number))]
		fmt.Fprintf(out, "%s %s %s", cmp.Or(name, "not told"), j.Function, j.State)
		if j.Worker != nil {
			fmt.Fprintf(out, " at %s", s.nameOf(j.Worker))
		}
		fmt.Fprintf(out, " for %v", s.now.Sub(j.Since))
		for _, x := range []struct {
			is   bool
			text string
		}{
			{j.Background, "background"}, {j.Listeners > 0, fmt.Sprint(j.Listeners, " listening")},
			{j.Retries > 0, fmt.Sprint("lost ", j.Retries)}, {!j.Wanted, "unwanted"},
		} {
			if x.is {
				fmt.Fprintf(out, ", %s", x.text)
			}
		}
		fmt.Fprintln(out)
	}
}

func (s *scenario) printFunctions(out *strings.Builder) {
	walk := s.s.ScanFunctions()
	var all []FunctionStats
	for more := true; more; {
		all, more = walk.Next(all)
	}
	slices.SortFunc(all, func(a, b FunctionStats) int { return strings.Compare(a.Name, b.Name) })
	for _, f := range all {
		fmt.Fprintf(out, "%s: %d jobs, %d running, %d workers", f.Name, f.Total, f.Running, f.Workers)
		if !f.Oldest.IsZero() {
			fmt.Fprintf(out, ", the oldest waits for %v", s.now.Sub(f.Oldest))
		}
		fmt.Fprintln(out)
	}
}

func (s *scenario) printCounters(out *strings.Builder) {
	c := s.s.Counters()
	row := func(n uint64, name string) {
		if n > 0 {
			fmt.Fprintf(out, "%s: %d\n", name, n)
		}
	}
	row(c.Foreground, "foreground")
	row(c.Background, "background")
	row(c.Coalesced, "coalesced")
	row(c.Adopted, "adopted")
	row(c.HandedOut, "handed out")
	row(c.PutBack, "put back")
	for r, n := range c.Refused {
		row(n, "refused, "+Refusal(r).String())
	}
	for o, n := range c.Ended {
		row(n, "ended, "+Outcome(o).String())
	}
}
