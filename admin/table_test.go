package admin

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/sched"
	"gearloop/test/collect"
)

// steps sends a line that is answered by a table, and returns what each of its steps adds.
func (b *board) steps(line string) (added []string) {
	b.t.Helper()
	_, table, _ := b.Execute([]byte(line), Asker{From: Loopback}, time.Now(), &b.fx)
	if table == nil {
		b.t.Fatalf("%q is not answered by a table", line)
	}
	for more := true; more; {
		var step []byte
		step, _, more = table.Next(nil)
		added = append(added, string(step))
	}
	return added
}

// wantLong checks the steps of a table of many rows: none adds too much, and together they have each row
// once.
func (b *board) wantLong(line string, rows int, longest int) {
	b.t.Helper()
	steps := b.steps(line)
	lines := strings.SplitAfter(strings.Join(steps, ""), "\n")
	if n := len(lines); n != rows+2 || lines[n-2] != ".\n" || lines[n-1] != "" {
		b.t.Errorf("%q: %d rows, want %d", line, n-2, rows)
	}
	lines = lines[:len(lines)-2]
	slices.Sort(lines)
	if n := len(slices.Compact(lines)); n != rows {
		b.t.Errorf("%q: %d different rows, want %d", line, n, rows)
	}
	for _, s := range steps {
		if n := strings.Count(s, "\n"); n > 129 || len(s) >= stepBytes+longest {
			b.t.Errorf("%q: a step adds %d rows, %d bytes", line, n, len(s))
		}
	}
}

// However many rows there are, a step adds few of them.
func TestLongTables(t *testing.T) {
	b := newBoard(t)
	const many = 1000
	for i := range many {
		p := b.peer(i+1, "")
		b.send(p, codec.SetClientID, fmt.Sprint("id", i))
		b.send(p, codec.CanDo, fmt.Sprint("function", i))
		b.send(p, codec.SubmitJob, fmt.Sprint("function", i), fmt.Sprint("unique", i), "x")
	}
	for _, line := range []string{"workers", "status", "prioritystatus", "jobs", "show jobs", "show unique jobs"} {
		b.wantLong(line, many, 100)
	}
	b.wantLong("clients", 2*many, 100)
	if n := len(b.steps("gladiator")); n <= many/256 {
		t.Errorf("gladiator counts all connections in %d steps", n)
	}
}

// Long rows are fewer in a step.
func TestLongRows(t *testing.T) {
	b := newBoard(t)
	client := b.peer(1, "")
	const many = 200
	for i := range many {
		b.send(client, codec.SubmitJobBg, "f", fmt.Sprint(i, strings.Repeat("u", 10_000)), "x")
	}
	b.wantLong("jobs", many, 11_000)
	b.wantLong("show unique jobs", many, 11_000)
}

// The row of a worker that can do many functions comes in parts, and in the order of the dialect.
func TestWorkerOfManyFunctions(t *testing.T) {
	b := newBoard(t)
	w := b.peer(5, "")
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprint("f", i, strings.Repeat("x", 400)))
		b.send(w, codec.CanDo, names[i])
	}
	b.peer(6, "")
	for _, d := range []*dialect.Dialect{dialect.Perl, dialect.C} {
		b.Dialect = d
		blank := " "
		if d == dialect.C {
			slices.Reverse(names)
			blank = ""
		}
		steps := b.steps("workers")
		if got, want := strings.Join(steps, ""), "5 unix - : "+strings.Join(names, " ")+"\n6 unix - :"+blank+"\n.\n"; got != want {
			t.Errorf("%d bytes, want %d", len(got), len(want))
		}
		for _, s := range steps {
			if len(s) > stepBytes+partFunctions*410 {
				t.Errorf("a step adds %d bytes", len(s))
			}
		}
	}
}

// What a table holds in memory is told, and let go.
func TestTableSize(t *testing.T) {
	b := newBoard(t)
	client := b.peer(1, "")
	for i := range 1000 {
		b.send(client, codec.SubmitJob, fmt.Sprint("f", i), "", "x")
		b.peer(i+2, "")
	}
	for line, least := range map[string]int{"status": 8 * 1000, "workers": 16 * 1000, "clients": 40 * 1000, "jobs": 0, "gladiator": 0} {
		_, table, _ := b.Execute([]byte(line), Asker{From: Loopback}, time.Now(), &b.fx)
		if n := table.Size(); n != tableSize {
			t.Errorf("%s takes %d bytes before it begins", line, n)
		}
		most := 0
		for more := true; more; {
			_, _, more = table.Next(nil)
			most = max(most, table.Size())
		}
		if most < least || most > 3*least+tableSize+1000 {
			t.Errorf("%s takes up to %d bytes, want about %d", line, most, least)
		}
		if n := table.Size(); n > tableSize+1000 {
			t.Errorf("%s takes %d bytes in the end", line, n)
		}
	}
}

// A change is done when it is answered, whatever table is being read.
func TestChangeWithinTable(t *testing.T) {
	b := newBoard(t)
	client := b.peer(1, "")
	for i := range 1000 {
		b.send(client, codec.SubmitJobBg, "f", fmt.Sprint(i), "x")
	}
	_, table, _ := b.Execute([]byte("jobs"), Asker{From: Loopback}, time.Now(), &b.fx)
	text, _, more := table.Next(nil)
	if !more {
		t.Fatal("one step was enough")
	}
	var left []sched.JobInfo
	for _, j := range collect.Rows(b.Sched.WalkJobs()) {
		if !strings.Contains(string(text), "\t"+j.Unique+"\t") {
			left = append(left, j)
		}
	}
	b.want("cancel job "+string(b.Sched.AppendHandle(nil, left[0].Number)), "OK\n")
	for more {
		text, _, more = table.Next(text)
	}
	if strings.Contains(string(text), "\t"+left[0].Unique+"\t") {
		t.Error("tells of a job that was cancelled before its row came")
	}
	if n := strings.Count(string(text), "\n"); n != 1000 {
		t.Errorf("%d lines, want 999 rows and the end", n)
	}
}
