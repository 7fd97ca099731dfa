package clustertest

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/peers"
	"gearloop/test/pgtest"
)

// long reports whether faults happen as often as make cluster-test wants.
var long = os.Getenv("GEARLOOP_CLUSTER") == "long"

// times returns how often a fault happens.
func times(short, often int) int {
	if long {
		return often
	}
	return short
}

// common is a cluster for tests that leave it as it was.
var common struct {
	once sync.Once
	db   *pgtest.Cluster
	err  error
}

func TestMain(m *testing.M) {
	// Tests wait for leases and for other processes most of the time, so more of them run at once than there are
	// processors.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	code := m.Run()
	if common.db != nil {
		common.db.End()
	}
	os.Exit(code)
}

// cluster returns the common cluster.
func cluster(t *testing.T) *pgtest.Cluster {
	t.Helper()
	common.once.Do(func() { common.db, common.err = pgtest.LaunchCluster(pgtest.Options{}, pgtest.Rule) })
	if common.err != nil {
		t.Fatal(common.err)
	}
	return common.db
}

// site is some brokers that share a database, their clients and their workers.
type site struct {
	t       *testing.T
	l       *ledger
	url     string // of the database, for the test itself
	brokers []*broker

	pace time.Duration // pause of a client between two jobs

	stopSubmitters, stopWorkers context.CancelFunc
	submitters, workers         sync.WaitGroup
}

// broker is one broker, running or not.
type broker struct {
	site    *site
	number  int
	program string // "": today's
	url     string // of its database, as it sees it; "": options name a directory
	options []string
	server  *peers.Server
	addr    atomic.Pointer[string] // changes when it is started again
}

// open makes a site with a number of brokers.
func open(t *testing.T, url string, number int, options ...string) *site {
	t.Helper()
	s := &site{t: t, l: newLedger(t), url: url, stopWorkers: func() {}, pace: 20 * time.Millisecond}
	for range number {
		s.add(url, options...).start()
	}
	return s
}

// add adds a broker that does not run yet.
func (s *site) add(url string, options ...string) *broker {
	b := &broker{site: s, number: len(s.brokers), url: url, options: options}
	s.brokers = append(s.brokers, b)
	return b
}

// start starts a broker, or starts it again.
func (b *broker) start() {
	b.site.t.Helper()
	args := b.options
	if b.url != "" {
		args = append([]string{"--store", b.url, "--node", fmt.Sprint("n", b.number)}, args...)
	}
	server, err := peers.Launch(peers.Gearloop, peers.Options{Args: args, Program: b.program})
	if err != nil {
		b.site.t.Fatal(err)
	}
	b.server = server
	b.addr.Store(&server.Addr)
	b.site.t.Cleanup(func() {
		if server.Alive() {
			_ = server.Signal(syscall.SIGCONT)
		}
		if err := server.End(); err != nil {
			b.site.t.Error(err)
		}
		if b.site.t.Failed() {
			b.site.t.Logf("broker %d, process %d:\n%s", b.number, server.PID, server.Stderr())
		}
	})
}

// kill kills a broker.
func (b *broker) kill() {
	b.site.t.Helper()
	over := b.site.l.trouble(b.number)
	b.signal(syscall.SIGKILL)
	if _, err := b.server.Wait(await.Limit); err != nil {
		b.site.t.Fatal(err)
	}
	over()
}

func (b *broker) signal(signal os.Signal) {
	b.site.t.Helper()
	if err := b.server.Signal(signal); err != nil {
		b.site.t.Fatal(err)
	}
}

// functions are those that clients submit to.
var functions = []string{"f0", "f1", "f2", "f3"}

// submit starts clients. Each has a list of all brokers, begins with another one, and goes on with the next
// when one is gone or refuses.
func (s *site) submit(clients int) {
	ctx, stop := context.WithCancel(context.Background())
	s.stopSubmitters = stop
	s.t.Cleanup(func() { stop(); s.submitters.Wait() })
	for k := range clients {
		s.submitters.Go(func() {
			for n := k; ctx.Err() == nil; n++ {
				s.client(ctx, s.brokers[n%len(s.brokers)])
				select {
				case <-ctx.Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
	}
}

// client submits to one broker until that is gone.
func (s *site) client(ctx context.Context, b *broker) {
	c, in, ok := b.dial(ctx)
	if !ok {
		return
	}
	defer c.Close()
	var out []byte
	for ctx.Err() == nil {
		number, argument := s.l.submits()
		unique := ""
		if number%2 == 0 {
			unique = fmt.Sprint("u", number)
		}
		kind := []codec.Type{codec.SubmitJobBg, codec.SubmitJobHighBg, codec.SubmitJobLowBg}[number%3]
		out = codec.AppendRequest(out[:0], kind, functions[number%len(functions)], unique, argument)
		if _, err := c.Write(out); err != nil {
			return
		}
		answer, err := codec.ReadResponse(in, 1<<20)
		if err != nil {
			return
		}
		if answer.Type != codec.JobCreated {
			s.l.refuses()
			return
		}
		s.l.acknowledges(argument, string(answer.Data))
		select {
		case <-ctx.Done():
		case <-time.After(s.pace):
		}
	}
}

// poll is how often the database is asked for something that is waited for. Each question costs it a process.
const poll = 30 * time.Millisecond

// dial connects to a broker, for as long as ctx lasts.
func (b *broker) dial(ctx context.Context) (net.Conn, *bufio.Reader, bool) {
	c, err := net.DialTimeout("tcp", *b.addr.Load(), time.Second)
	if err != nil {
		return nil, nil, false
	}
	context.AfterFunc(ctx, func() { c.Close() })
	return c, bufio.NewReader(c), true
}

// work starts workers, each connected to all brokers.
func (s *site) work(number int) {
	s.stopWorkers()
	s.workers.Wait()
	ctx, stop := context.WithCancel(context.Background())
	s.stopWorkers = stop
	s.t.Cleanup(func() { stop(); s.workers.Wait() })
	for range number {
		for _, b := range s.brokers {
			s.workers.Go(func() {
				for ctx.Err() == nil {
					s.worker(ctx, b)
					select {
					case <-ctx.Done():
					case <-time.After(20 * time.Millisecond):
					}
				}
			})
		}
	}
}

// worker does jobs of one broker until that is gone.
func (s *site) worker(ctx context.Context, b *broker) {
	c, in, ok := b.dial(ctx)
	if !ok {
		return
	}
	defer c.Close()
	var out []byte
	for _, f := range functions {
		out = codec.AppendRequest(out, codec.CanDo, f)
	}
	out = codec.AppendRequest(out, codec.GrabJob)
	last := "" // its end has been sent
	for {
		asked := time.Now()
		if _, err := c.Write(out); err != nil {
			return
		}
		answer, err := codec.ReadResponse(in, 1<<20)
		if err != nil {
			return
		}
		if last != "" {
			s.l.ended(b.number, last)
			last = ""
		}
		out = out[:0]
		switch answer.Type {
		case codec.JobAssign:
			args := answer.Args(3)
			s.l.assigned(b.number, asked, args[0], args[2])
			last = args[2]
			out = codec.AppendRequest(out, codec.WorkComplete, args[0], "")
			out = codec.AppendRequest(out, codec.GrabJob)
		case codec.NoJob:
			out = codec.AppendRequest(out, codec.PreSleep)
		case codec.Noop:
			out = codec.AppendRequest(out, codec.GrabJob)
		default:
			s.t.Errorf("a worker gets %v", answer)
			return
		}
	}
}

// drain ends the submissions and waits until no job is stored any more. What has not run by then is lost; it
// is returned.
func (s *site) drain() (lost []string) {
	s.t.Helper()
	s.stopSubmitters()
	s.submitters.Wait()
	await.UntilNone(s.t, "jobs are still stored", func() (rows int) {
		time.Sleep(poll)
		if ask(s.url, "select count(*) from job", &rows) != nil {
			return math.MaxInt
		}
		return rows
	})
	s.l.report()
	return s.l.lost()
}

// finish checks that nothing was lost.
func (s *site) finish() {
	s.t.Helper()
	if lost := s.drain(); len(lost) > 0 {
		s.t.Errorf("%d acknowledged jobs are lost: %q", len(lost), lost[:min(5, len(lost))])
	}
}

// ask returns the only value of the only row of a query to the database that takes writes.
func ask(url, query string, value any) error {
	ctx, cancel := context.WithTimeout(context.Background(), await.Limit)
	defer cancel()
	conn, err := pgx.Connect(ctx, url+"&target_session_attrs=read-write")
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return conn.QueryRow(ctx, query).Scan(value)
}

// schema makes an empty schema at the common cluster and returns its URL.
func schema(t *testing.T) (db *pgtest.Cluster, url string) {
	t.Helper()
	db = cluster(t)
	return db, db.URL(db.Nodes[0].Schema(t))
}

// logs waits until a broker has logged a text.
func (b *broker) logs(text string) {
	b.site.t.Helper()
	await.Until(b.site.t, fmt.Sprintf("broker %d logs %q", b.number, text), func() bool { return strings.Contains(b.server.Stderr(), text) })
}
