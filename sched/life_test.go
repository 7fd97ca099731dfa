package sched

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/invariants"
)

// transition is one entry of the table of a job's life, and a way to make it happen.
type transition struct {
	from, to state
	before   func(l *lifeRig) // brings the job to from
	cause    func(l *lifeRig)
}

// lifeRig has one job, which is found by its number, and kept after its end.
type lifeRig struct {
	*rig
	client, worker *Peer
	job            *job
}

// find records the only job.
func (l *lifeRig) find() {
	for i := range l.s.shards {
		for j := range l.s.shards[i].jobs.all() {
			l.job = j
		}
	}
}

func (l *lifeRig) submit(typ codec.Type, args ...string) {
	l.do(l.client, typ, args...)
	l.find()
}

func (l *lifeRig) soon() string { return strconv.FormatInt(start.Unix()+5, 10) }

func (l *lifeRig) isStoring() { l.submit(codec.SubmitJobBg, "f", "u", "x") }
func (l *lifeRig) isDelayed() {
	l.submit(codec.SubmitJobEpoch, "f", "u", l.soon(), "x")
	l.receive(-1, nil)
}
func (l *lifeRig) isQueued()  { l.submit(codec.SubmitJobBg, "f", "u", "x"); l.receive(-1, nil) }
func (l *lifeRig) isRunning() { l.isQueued(); l.do(l.worker, codec.GrabJob) }
func (l *lifeRig) isShelved() { l.isQueued(); l.s.Shelve() }
func (l *lifeRig) isAbandoned() {
	l.isRunning()
	l.rig.cancel(l.handleOf())
}

func (l *lifeRig) handleOf() string { return string(l.s.AppendHandle(nil, l.job.number)) }

// transitions has each of the table once.
var transitions = []transition{
	{fresh, storing, func(*lifeRig) {}, (*lifeRig).isStoring},
	{fresh, delayed, func(*lifeRig) {}, func(l *lifeRig) {
		l.rig = newRig(l.rig.TB, perl()) // without a store
		l.client = l.connect()
		l.submit(codec.SubmitJobEpoch, "f", "u", l.soon(), "x")
	}},
	{fresh, queued, func(*lifeRig) {}, func(l *lifeRig) { l.submit(codec.SubmitJob, "f", "u", "x") }},
	{storing, delayed, func(l *lifeRig) { l.submit(codec.SubmitJobEpoch, "f", "u", l.soon(), "x") }, func(l *lifeRig) { l.receive(1, nil) }},
	{storing, queued, (*lifeRig).isStoring, func(l *lifeRig) { l.receive(1, nil) }},
	{storing, shelved, (*lifeRig).isStoring, func(l *lifeRig) { l.s.Shelve(); l.receive(1, nil) }},
	{storing, ended, (*lifeRig).isStoring, func(l *lifeRig) { l.receive(1, errDisk) }},
	{delayed, queued, (*lifeRig).isDelayed, func(l *lifeRig) { l.at(5 * time.Second) }},
	{delayed, shelved, (*lifeRig).isDelayed, func(l *lifeRig) { l.s.Shelve(); l.at(5 * time.Second) }},
	{delayed, ended, (*lifeRig).isDelayed, func(l *lifeRig) { l.cancel(l.handleOf()) }},
	{queued, running, (*lifeRig).isQueued, func(l *lifeRig) { l.do(l.worker, codec.GrabJob) }},
	{queued, shelved, (*lifeRig).isQueued, func(l *lifeRig) { l.s.Shelve() }},
	{queued, ended, func(l *lifeRig) {
		l.submit(codec.SubmitJob, "f", "u", "x")
		l.leave(l.client)
	}, func(l *lifeRig) { l.do(l.worker, codec.GrabJob) }},
	{running, queued, (*lifeRig).isRunning, func(l *lifeRig) { l.leave(l.worker) }},
	{running, shelved, (*lifeRig).isRunning, func(l *lifeRig) { l.s.Freeze(); l.leave(l.worker) }},
	{running, abandoned, (*lifeRig).isRunning, func(l *lifeRig) { l.cancel(l.handleOf()) }},
	{running, ended, (*lifeRig).isRunning, func(l *lifeRig) { l.do(l.worker, codec.WorkComplete, l.handleOf(), "") }},
	{shelved, queued, func(l *lifeRig) {
		// A foreground job that a background submission joined is not stored yet when the server ends.
		l.submit(codec.SubmitJob, "f", "u", "x")
		l.do(l.worker, codec.GrabJob)
		l.do(l.client, codec.SubmitJobBg, "f", "u", "x")
		l.s.Freeze()
		l.leave(l.worker)
	}, func(l *lifeRig) { l.receive(1, errDisk) }},
	{shelved, ended, (*lifeRig).isShelved, func(l *lifeRig) { l.cancel(l.handleOf()) }},
	{abandoned, ended, (*lifeRig).isAbandoned, func(l *lifeRig) { l.do(l.worker, codec.WorkFail, l.handleOf()) }},
}

// TestTransitions: each entry of the table can happen, and the table has no others.
func TestTransitions(t *testing.T) {
	var seen [states]stateSet
	for _, tr := range transitions {
		if !next[tr.from].has(tr.to) || seen[tr.from].has(tr.to) {
			t.Errorf("%v to %v is not in the table, or is here twice", tr.from, tr.to)
		}
		seen[tr.from] |= setOf(tr.to)
		t.Run(tr.from.String()+" to "+tr.to.String(), func(t *testing.T) {
			r := newRig(t, Config{Dialect: dialect.Perl, Wakeup: 3, WakeupDelay: -1})
			r.attach(newFakeStore())
			l := &lifeRig{rig: r, client: r.connect(), worker: r.worker("f")}
			tr.before(l)
			if l.job != nil && l.job.state != tr.from {
				t.Fatalf("it is %v before", l.job.state)
			}
			tr.cause(l)
			if l.job.state != tr.to {
				t.Errorf("it is %v after", l.job.state)
			}
		})
	}
	if seen != next {
		t.Errorf("the table has %v, here are %v", next, seen)
	}
}

// TestIllegalTransition: a program with invariants panics when a job returns from its end.
func TestIllegalTransition(t *testing.T) {
	r := newRig(t, perl())
	j := &job{fn: r.worker("f").abilities[0].fn, state: ended}
	defer func() {
		if fault := recover(); (fault != nil) != invariants.Enabled {
			t.Errorf("invariants are checked: %v, panic: %v", invariants.Enabled, fault)
		}
	}()
	j.fn.shard.move(j, queued)
}

// TestDocHasTheTable compares the table with the one in the package comment.
func TestDocHasTheTable(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`(?m)^//\t([a-z]+) +\S.*  → (.*)$`)
	var told [states]string
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		for s := range state(states) {
			if s.String() == m[1] {
				told[s] = m[2]
			}
		}
	}
	for s := range state(states) {
		var after []string
		for to := range state(states) {
			if next[s].has(to) {
				after = append(after, to.String())
			}
		}
		want := strings.Join(after, ", ")
		if want == "" {
			want = "–"
		}
		if told[s] != want {
			t.Errorf("doc.go says of %v that it is followed by %q, the table: %q", s, told[s], want)
		}
	}
}

// TestStateIsChangedInOnePlace looks for assignments to a job's state outside move, and to its keeping
// outside keep.
func TestStateIsChangedInOnePlace(t *testing.T) {
	files, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if f, ok := n.(*ast.FuncDecl); ok && (f.Name.Name == "move" || f.Name.Name == "keep") {
				return false
			}
			assign, ok := n.(*ast.AssignStmt)
			if !ok {
				return true
			}
			for _, to := range assign.Lhs {
				if sel, ok := to.(*ast.SelectorExpr); ok && (sel.Sel.Name == "state" || sel.Sel.Name == "keeping") {
					t.Errorf("%v: only move changes a state, and keep what is stored", set.Position(to.Pos()))
				}
			}
			return true
		})
	}
}
