package postgres

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"gearloop/store"
	"gearloop/test/await"
	"gearloop/test/pgtest"
)

// tap stands between a broker and its database. It counts round trips, stalls and cuts connections.
type tap struct {
	url   string
	syncs atomic.Int64 // round trips: messages Sync and Query from the broker

	mu     sync.Mutex
	cond   *sync.Cond
	stall  bool              // nothing is passed on
	parted bool              // the database does not hear that a broker's connection is over
	conns  map[net.Conn]bool // value: a broker's
}

func through(t *testing.T, server *pgtest.Server, schema string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{conns: map[net.Conn]bool{}}
	p.cond = sync.NewCond(&p.mu)
	p.url = strings.Replace(server.URL(schema), fmt.Sprint(":", server.Port, "/"), fmt.Sprint(":", l.Addr().(*net.TCPAddr).Port, "/"), 1)
	t.Cleanup(func() {
		l.Close()
		p.set(false)
		p.cut()
	})
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", server.Port))
			if err != nil {
				from.Close()
				continue
			}
			p.mu.Lock()
			p.conns[from], p.conns[to] = true, false
			p.mu.Unlock()
			go p.requests(from, to)
			go p.answers(to, from)
		}
	}()
	return p
}

// set begins or ends a stall.
func (p *tap) set(stall bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stall = stall
	p.cond.Broadcast()
}

// cut closes all connections.
func (p *tap) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
	clear(p.conns)
}

// part closes the brokers' connections. Those to the database stay open, with what it has not read yet.
func (p *tap) part() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parted = true
	for c, broker := range p.conns {
		if broker {
			c.Close()
			delete(p.conns, c)
		}
	}
}

// over is called when nothing more comes from a broker.
func (p *tap) over(to net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.parted {
		to.Close()
	}
}

func (p *tap) pass() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.stall {
		p.cond.Wait()
	}
}

func (p *tap) requests(from, to net.Conn) {
	defer from.Close()
	defer p.over(to)
	in := bufio.NewReader(from)
	for first := true; ; first = false {
		head := make([]byte, 5)
		if first { // the startup message has no type
			head = head[:4]
		}
		if _, err := io.ReadFull(in, head); err != nil {
			return
		}
		size := int(binary.BigEndian.Uint32(head[len(head)-4:])) - 4
		message := append(head, make([]byte, size)...)
		if _, err := io.ReadFull(in, message[len(head):]); err != nil {
			return
		}
		if kind := message[0]; !first && (kind == 'S' || kind == 'Q') {
			p.syncs.Add(1)
		}
		p.pass()
		if _, err := to.Write(message); err != nil {
			return
		}
	}
}

func (p *tap) answers(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		p.pass()
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// A batch, with ends, retries and jobs, costs one round trip.
func TestOneRoundTrip(t *testing.T) {
	server := shared(t)
	p := through(t, server, server.Schema(t))
	a := start(t, p.url, func(o *Options) { alone(o); o.Beat = time.Hour; o.sweepEvery = time.Hour; o.lazyFor = time.Hour })
	commits := func() uint64 {
		activity := a.Activity()
		return activity.Commit.Count()
	}
	submit := func() {
		last := a.mustSubmit("f", "u")
		again := a.mustSubmit("f", "")
		a.Update(store.Ref(again), 1, store.Normal)
		a.Done(store.Ref(last))
	}
	for range 5 { // statements are prepared
		submit()
	}
	batches, trips := commits(), p.syncs.Load()
	for range 50 {
		submit()
	}
	if batches, trips = commits()-batches, p.syncs.Load()-trips; batches < 100 || uint64(trips) != batches {
		t.Errorf("%d batches took %d round trips", batches, trips)
	}
}

// Settings of the role change neither what an acknowledgement promises nor how statements run.
func TestSessionSettings(t *testing.T) {
	server := shared(t)
	url := server.URL(server.Schema(t))
	for name, other := range map[string]string{"synchronous_commit": "off", "enable_seqscan": "on", "jit": "on", "timezone": "Asia/Tokyo",
		"default_transaction_isolation": "serializable", "idle_in_transaction_session_timeout": "0"} {
		server.Exec(t, fmt.Sprintf("alter role %s set %s = '%s'", pgtest.Role, name, other))
		defer server.Exec(t, fmt.Sprintf("alter role %s reset %s", pgtest.Role, name))
	}
	a := start(t, url, alone)
	pool, err := a.readers(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for name, conn := range map[string]interface {
		QueryRow(context.Context, string, ...any) pgx.Row
	}{"broker": pool, "command": connected(t, url)} {
		for setting, want := range map[string]string{"synchronous_commit": "on", "enable_seqscan": "off", "jit": "off", "timezone": "UTC",
			"default_transaction_isolation": "read committed", "idle_in_transaction_session_timeout": "5s"} {
			if _, found := a.config.RuntimeParams[setting]; found {
				t.Errorf("%s is a parameter of the start, which PgBouncer refuses or drops", setting)
			}
			var got string
			if err := conn.QueryRow(context.Background(), "select current_setting($1)", setting).Scan(&got); err != nil || got != want {
				t.Errorf("%s: %s is %q, %v; want %q", name, setting, got, err, want)
			}
		}
	}
}

// Jobs are acknowledged when a quorum has them, whatever the server's default is. Without a synchronous standby there
// is a warning, with one there is none.
func TestQuorum(t *testing.T) {
	server := pgtest.StartWith(t, pgtest.Options{Settings: []string{"synchronous_commit=off"}})
	url := server.URL(server.Schema(t))
	var mu sync.Mutex
	var warnings []string
	listen := func(o *Options) {
		alone(o)
		o.callLimit = await.Limit
		o.Event = func(e Event) {
			mu.Lock()
			defer mu.Unlock()
			if e.Warning {
				warnings = append(warnings, e.Text)
			}
		}
	}
	alone := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return strings.Contains(strings.Join(warnings, "\n"), "no synchronous standby")
	}
	a := start(t, url, listen)
	if !alone() {
		t.Error("no warning without a synchronous standby")
	}
	a.mustSubmit("f", "")
	server.Exec(t, "alter system set synchronous_standby_names = 'ANY 1 (s2,s3)'")
	server.Exec(t, "select pg_reload_conf()")
	pool, err := a.readers(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	is := func(query string) func() bool {
		return func() bool {
			var yes bool
			return pool.QueryRow(context.Background(), query).Scan(&yes) == nil && yes
		}
	}
	await.Until(t, "the setting is in force", is("select current_setting('synchronous_standby_names') <> ''"))
	// Backends may have the setting before the process that makes them wait has it. Until then jobs are acknowledged.
	waits := is("select exists (select from pg_stat_activity where wait_event = 'SyncRep' and query like '%into job%')")
	var came <-chan error
	await.Until(t, "the commit waits for a standby", func() bool {
		if came == nil || len(came) > 0 {
			_, came = a.submit("f", "")
		}
		return waits()
	})
	select {
	case err := <-came:
		t.Errorf("a job that no standby has is told %v", err)
	default:
	}
	server.Exec(t, "alter system reset synchronous_standby_names")
	server.Exec(t, "select pg_reload_conf()")
	if err := <-came; err != nil {
		t.Error(err)
	}
}

// Arguments of 256 KiB and more are stored in pieces of at most 1 MiB, smaller ones with their job.
func TestPieces(t *testing.T) {
	server := shared(t)
	a := start(t, server.URL(server.Schema(t)), func(o *Options) { alone(o); o.large = 0; o.MaxQueued = 64 << 20 })
	pool, err := a.readers(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for i, test := range []struct{ size, pieces int }{{256<<10 - 1, 0}, {256 << 10, 1}, {1 << 20, 1}, {1<<20 + 1, 2}, {5 << 19, 3}} {
		job := store.Job{Number: store.Number(a.Run(), uint64(i+1), 3), Function: "f", Argument: [][]byte{make([]byte, test.size)}}
		came := make(chan error, 1)
		if _, err := a.Append(&job, told{a, job.Number, came}); err != nil {
			t.Fatal(err)
		}
		if err := <-came; err != nil {
			t.Fatal(err)
		}
		var pieces, bytes, largest int
		err := pool.QueryRow(context.Background(), `select count(*), coalesce(sum(length(data)), 0), coalesce(max(length(data)), 0)
			from arg where handle = $1`, int64(job.Number)).Scan(&pieces, &bytes, &largest)
		if err != nil || pieces != test.pieces || pieces > 0 && bytes != test.size || largest > 1<<20 {
			t.Errorf("%d bytes are in %d pieces, want %d; %d bytes, the largest %d, %v", test.size, pieces, test.pieces, bytes, largest, err)
		}
	}
}

// A database that does not answer any more does not keep a broker from ending, however patient jobs are.
func TestCloseWhileItHangs(t *testing.T) {
	server := shared(t)
	p := through(t, server, server.Schema(t))
	a := start(t, p.url, func(o *Options) { alone(o); o.Patience = time.Hour; o.callLimit = 0 })
	a.mustSubmit("f", "")
	p.set(true)
	_, came := a.submit("f", "")
	closed := make(chan error, 1)
	go func() { closed <- a.Close() }()
	select {
	case err := <-closed:
		if err == nil {
			t.Error("it ends as if all were well")
		}
	case <-time.After(await.Limit):
		t.Fatal("it does not end")
	}
	if err := <-came; !errors.Is(err, store.ErrFailed) {
		t.Errorf("the job whose outcome is not known: %v", err)
	}
}

// A large argument is read on when the database is back: a worker that waits for it gets it, and the job is not lost. It
// is not handed out past the lease.
func TestArgumentIsReadOn(t *testing.T) {
	server := shared(t)
	p := through(t, server, server.Schema(t))
	a := start(t, p.url, func(o *Options) { alone(o); o.MaxQueued = 64 << 20; o.Beat = time.Hour })
	const size = 5<<20 + 17
	job := store.Job{Number: store.Number(a.Run(), 1, 3), Function: "f", Argument: [][]byte{make([]byte, size)}}
	came := make(chan error, 1)
	ref, err := a.Append(&job, told{a, job.Number, came})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-came; err != nil {
		t.Fatal(err)
	}
	w := &cutting{tap: p, at: 2 << 20}
	done := make(chan error, 1)
	a.Argument(ref, w, func(err error) { done <- err })
	if err := <-done; err != nil || w.written.Load() != size {
		t.Errorf("%d bytes of %d, %v", w.written.Load(), size, err)
	}
	if !w.done {
		t.Error("nothing was cut")
	}
	// The lease is over: it is read, and not given to the worker before the lease goes on.
	a.heart.mu.Lock()
	a.heart.until = time.Now().Add(-time.Second)
	a.heart.mu.Unlock()
	again := &cutting{}
	a.Argument(ref, again, func(err error) { done <- err })
	await.Until(t, "all is read", func() bool { return again.written.Load() == size })
	select {
	case err := <-done:
		t.Errorf("handed out past the lease: %v", err)
	case <-time.After(20 * time.Millisecond): // a mistake may go unseen here, not the other way around
	}
	await.Until(t, "it is handed out when the lease goes on", func() bool {
		a.heart.ring()
		select {
		case err = <-done:
			return true
		default:
			return false
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// cutting cuts all connections when so many bytes are written.
type cutting struct {
	tap     *tap
	at      int64
	done    bool
	written atomic.Int64
}

func (w *cutting) Write(b []byte) (int, error) {
	if n := w.written.Add(int64(len(b))); w.tap != nil && !w.done && n >= w.at {
		w.done = true
		w.tap.cut()
	}
	return len(b), nil
}

// A connection that breaks again and again is lost once and comes back once: each change of state is one line.
func TestOneLineForAChange(t *testing.T) {
	server := shared(t)
	var broken atomic.Bool
	var attempts atomic.Int64
	var mu sync.Mutex
	var said []string
	a := start(t, server.URL(server.Schema(t)), func(o *Options) {
		alone(o)
		o.before = func(call string) error {
			if call == "commit" && broken.Load() {
				attempts.Add(1)
				return errors.New("the connection breaks")
			}
			return nil
		}
		o.Event = func(e Event) {
			mu.Lock()
			defer mu.Unlock()
			if e.Kind != Other {
				said = append(said, e.Kind.String())
			}
		}
	})
	a.mustSubmit("f", "")
	broken.Store(true)
	_, came := a.submit("f", "")
	await.Until(t, "it has connected again and again", func() bool { return attempts.Load() > 5 })
	broken.Store(false)
	if err := <-came; err != nil {
		t.Error(err)
	}
	a.mustSubmit("f", "")
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Join(said, " "); got != "connected lost connected" {
		t.Errorf("said: %s", got)
	}
	if n := a.Changes(); n[Connected] != 2 || n[Lost] != 1 {
		t.Errorf("counted: %v", n)
	}
}
