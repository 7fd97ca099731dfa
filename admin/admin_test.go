package admin

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
	"gearloop/sched"
	"gearloop/test/collect"
)

// board is a scheduler with connections, and the text commands that look at it.
type board struct {
	Admin
	t  *testing.T
	fx sched.Effects
}

func newBoard(t *testing.T) *board {
	s := sched.New(sched.Config{Dialect: dialect.Perl, HandlePrefix: "H:board"})
	return &board{t: t, Admin: Admin{
		Sched: s, Dialect: dialect.Perl, Version: "9.8.7",
		Objects: func() []Objects { return []Objects{{"thing", 3}, {"single thing", 1}, {"no thing", 0}} },
	}}
}

// peer adds a connection; address is empty for a unix socket.
func (b *board) peer(fd int, address string) *sched.Peer {
	p := &sched.Peer{FD: fd}
	if address != "" {
		p.Addr = netip.MustParseAddrPort(address)
	}
	b.Sched.Connect(p)
	return p
}

// send has a connection send a packet.
func (b *board) send(p *sched.Peer, t codec.Type, args ...string) {
	b.Sched.Handle(p, t, payload.Borrow([]byte(strings.Join(args, "\x00"))), time.Unix(1e9, 0), &b.fx)
	for i := range b.fx.Packets {
		b.fx.Packets[i].Body.Release()
	}
	b.fx.Reset()
}

// answer sends a line and returns the whole answer.
func (b *board) answer(line string, from Origin) (string, Action) {
	text, table, action := b.Execute([]byte(line), Asker{From: from}, time.Now(), &b.fx)
	for more := table != nil; more; {
		text, _, more = table.Next(text)
	}
	return string(text), action
}

// want sends a line from this machine and compares the answer.
func (b *board) want(line, want string) {
	b.t.Helper()
	b.wantAction(line, Loopback, want, Nothing)
}

func (b *board) wantAction(line string, from Origin, want string, action Action) {
	b.t.Helper()
	got, did := b.answer(line, from)
	if got != want || did != action {
		b.t.Errorf("%q: got %q, action %d; want %q, action %d", line, got, did, want, action)
	}
}

const unknownCommand = "ERR unknown_command Unknown+server+command\r\n"

// The tables of an empty server end at once.
func TestTablesOfEmptyServer(t *testing.T) {
	b := newBoard(t)
	for _, command := range []string{"workers", "status", "jobs", "clients"} {
		b.want(command, ".\n")
	}
}

// The tables tell what there is, in the order and form of the reference.
func TestTables(t *testing.T) {
	b := newBoard(t)
	client, silent, worker := b.peer(7, "192.0.2.1:1000"), b.peer(9, ""), b.peer(8, "[2001:db8::1]:2000")
	b.send(worker, codec.SetClientID, "w 1")
	b.send(worker, codec.CanDo, "second")
	b.send(worker, codec.CanDo, "first")
	b.send(client, codec.SubmitJob, "first", "u1", "x")
	b.send(worker, codec.GrabJob)
	b.send(client, codec.SubmitJob, "second", "u2", "x")
	b.send(silent, codec.SubmitJob, "second", "u2", "x")

	b.want("workers", "7 192.0.2.1 - : \n8 2001:db8::1 w1 : second first\n9 unix - : \n.\n")
	b.want("status", "first\t1\t1\t1\nsecond\t1\t0\t1\n.\n")
	b.want("clients", "192.0.2.1:1000\n\tfirst\tu1\t[2001:db8::1]:2000\n\tsecond\tu2\t-\n[2001:db8::1]:2000\nunix:9\n\tsecond\tu2\t-\n.\n")
	jobs, _ := b.answer("jobs", Loopback)
	for _, line := range []string{"first\tu1\t[2001:db8::1]:2000\t1\n", "second\tu2\t-\t2\n"} {
		if !strings.Contains(jobs, line) {
			t.Errorf("jobs has no line %q: %q", line, jobs)
		}
	}

	// The worker goes, and with it its job and what only it could do.
	b.Sched.Disconnect(worker, time.Unix(1e9, 0), &b.fx)
	b.want("status", "second\t1\t0\t0\n.\n")
	b.want("jobs", "second\tu2\t-\t2\n.\n")
}

// Words are understood in any case and with blanks after them; what is no word is no command.
func TestCommandWords(t *testing.T) {
	b := newBoard(t)
	b.want("version", "v9.8.7\n")
	b.want("VerSION", "v9.8.7\n")
	b.want("version  \t", "v9.8.7\n")
	b.want("version of what", "v9.8.7\n")
	for _, line := range []string{"", " ", " version", "versions", "bogus", "\xff", "\x01status"} {
		b.want(line, unknownCommand)
	}
}

// maxqueue takes a function and a number; what it bounds is seen at the next submission.
func TestMaxqueue(t *testing.T) {
	b := newBoard(t)
	incomplete := "ERR incomplete_args An+incomplete+set+of+arguments+was+sent+to+this+command\r\n"
	b.want("maxqueue", incomplete)
	b.want("maxqueue   ", incomplete)
	client := b.peer(1, "")
	queued := func(want int) {
		t.Helper()
		for range 10 {
			b.send(client, codec.SubmitJobBg, "f", "", "x")
		}
		if n := b.Sched.Count().Queued; n != want {
			t.Errorf("%d jobs queued, want %d", n, want)
		}
	}
	b.want("maxqueue f 3", "OK\n")
	queued(3)
	b.want("MAXQUEUE f 5.9 more", "OK\n")
	queued(5)
	b.want("maxqueue f -1", "OK\n")
	queued(15)
	b.want("maxqueue f 20", "OK\n")
	queued(20)
	b.want("maxqueue f", "OK\n")
	queued(30)
	b.want("maxqueue f 1e300", "OK\n")
	queued(40)
	for _, bad := range []string{"x", "NaN", "3x", "--1"} {
		b.want("maxqueue f "+bad, "ERR unknown_args Unknown+arguments+to+server+command\r\n")
	}
	queued(50)
}

// shutdown comes in two kinds, and nothing else.
func TestShutdown(t *testing.T) {
	b := newBoard(t)
	b.wantAction("shutdown", Loopback, "OK\n", Shutdown)
	b.wantAction("SHUTDOWN ", Loopback, "OK\n", Shutdown)
	b.wantAction("shutdown graceful", Loopback, "OK\n", Drain)
	b.wantAction("shutdown now", Loopback, "ERR unknown_args Unknown+arguments+to+server+command\r\n", Nothing)
}

// gladiator tells of what there is more than one, or of everything, fewest first.
func TestGladiator(t *testing.T) {
	b := newBoard(t)
	w := b.peer(1, "")
	b.peer(2, "")
	b.send(w, codec.CanDo, "f")
	b.send(w, codec.PreSleep)
	some, _ := b.answer("gladiator", Loopback)
	if !strings.HasPrefix(some, "      2 peer\n      3 thing\n") || !strings.HasSuffix(some, "\n.\n") {
		t.Errorf("got %q", some)
	}
	for _, line := range strings.Split(some, "\n") {
		if strings.HasPrefix(line, "      1 ") || strings.HasPrefix(line, "      0 ") {
			t.Errorf("tells of single objects: %q", line)
		}
	}
	all, _ := b.answer("gladiator all", Loopback)
	lines := strings.Split(strings.TrimSuffix(all, "\n.\n"), "\n")
	last := ""
	for _, line := range lines {
		if last > line[:7] {
			t.Errorf("%q after %q", line, last)
		}
		last = line[:7]
	}
	for _, want := range []string{
		"      0 no thing", "      1 single thing", "      1 function", "      1 ability", "      1 sleeper",
		"      0 job queued", "      0 job running", "      0 job delayed", "      0 listener", "      0 unique id",
	} {
		if !strings.Contains(all, want+"\n") {
			t.Errorf("no line %q in %q", want, all)
		}
	}
}

// The commands of the C server in the form of the other dialect.
func TestCommandsOfC(t *testing.T) {
	b := newBoard(t)
	b.Verbose = "INFO"
	client, worker := b.peer(3, ""), b.peer(4, "")
	b.send(worker, codec.CanDo, "g")
	b.send(client, codec.SubmitJob, "f", "u", "x")
	b.send(client, codec.SubmitJobHighBg, "f", "", "x")
	handles := map[bool]string{} // by whether it is a background job
	for _, j := range collect.Rows(b.Sched.WalkJobs()) {
		handles[j.Background] = string(b.Sched.AppendHandle(nil, j.Number))
	}
	b.want("verbose", "INFO\n")
	b.want("prioritystatus", "f\t1\t1\t0\t0\ng\t0\t0\t0\t1\n.\n")
	b.want("cancel job H:board:999999", "ERR unknown_job No+such+job+waits\r\n")
	b.want("cancel thing x", "ERR unknown_args Unknown+arguments+to+server+command\r\n")
	b.want("cancel job "+handles[true], "OK\n")
	b.want("show jobs", handles[false]+"\t0\t0\t0\n.\n")
	b.want("show unique jobs", "u\n.\n")
	b.want("show", unknownCommand)
	b.want("drop function g", "ERR function_in_use Workers+or+running+jobs+of+the+function+are+there\r\n")
	b.want("drop function f", "OK\n")
	b.want("drop function f", "ERR unknown_function Function+not+found\r\n")
	b.want("create function h", "OK\n")
	b.want("create thing h", "ERR incomplete_args An+incomplete+set+of+arguments+was+sent+to+this+command\r\n")
	b.want("status", "g\t0\t0\t1\nh\t0\t0\t0\n.\n")
}
