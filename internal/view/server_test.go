package view

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"gearloop/admin"
	"gearloop/api"
	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/reactor"
	"gearloop/sched"
	"gearloop/store"
	"gearloop/store/disk"
	"gearloop/test/await"
	"gearloop/test/wire"
)

// serving returns the source of a broker that serves connections.
func serving(t testing.TB) (s *Source, server *reactor.Server, address string) {
	t.Helper()
	scheduler := sched.New(sched.Config{Dialect: dialect.Perl, HandlePrefix: "H:t", Start: time.Now(), WakeupDelay: -1})
	server, err := reactor.New(reactor.Config{
		Dialect: dialect.Perl, Sched: scheduler, Admin: &admin.Admin{Sched: scheduler, Dialect: dialect.Perl},
		Log: slog.New(slog.DiscardHandler), Loops: 2, Accept: 2, MaxPacket: 1 << 20, MaxOutbound: 1 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Watch()
	opened, err := server.Listen("127.0.0.1:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	s = New(Config{Sched: scheduler, Server: server, Started: time.Now(), Listeners: []api.Listener{{Address: "127.0.0.1:9", Kind: "web"}}})
	s.patience = await.Limit
	if got := s.Server().State; got != api.Starting {
		t.Errorf("before it serves it is %s", got)
	}
	if _, ready := s.Ready(); ready {
		t.Error("it is ready before it serves")
	}
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- server.Serve(func() { close(ready) }) }()
	<-ready
	s.Start()
	t.Cleanup(func() {
		s.End()
		server.Abort()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s, server, opened[0]
}

// The source describes a broker that serves: its connections, page by page, and its loops.
func TestServes(t *testing.T) {
	s, server, address := serving(t)
	const workers, clients = 30, 12
	for i := range workers + clients {
		c := wire.Dial(t, address)
		if i < workers {
			c.Send(codec.SetClientID, fmt.Sprint("worker-", i))
			for f := range 1 + i%3 {
				c.Send(codec.CanDo, fmt.Sprint("f", f))
			}
		}
		if i == 5 {
			c.Send(codec.PreSleep)
		}
		c.Sync()
	}
	for q, want := range map[ConnectionQuery]int{
		{Limit: 7}: workers + clients, {Limit: 7, Sort: "functions"}: workers + clients, {Limit: 7, Sort: "-functions"}: workers + clients,
		{Limit: 7, Sort: "-id"}: workers + clients, {Only: "workers", Limit: 4}: workers, {Only: "clients"}: clients,
		{Match: "worker-2"}: 11, {Match: "127.0.0.1:"}: workers + clients, {Match: "nobody"}: 0,
	} {
		var ids []string
		for {
			page, err := s.Connections(q)
			if err != nil || *page.Total != want {
				t.Fatalf("%+v: %d, %v; want %d", q, *page.Total, err, want)
			}
			for _, c := range page.Items {
				ids = append(ids, c.ID)
			}
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
		}
		slices.Sort(ids)
		if len(slices.Compact(ids)) != want {
			t.Errorf("%+v: %d different connections, want %d", q, len(slices.Compact(ids)), want)
		}
	}
	page, err := s.Connections(ConnectionQuery{Match: "worker-5"})
	if err != nil || len(page.Items) != 1 {
		t.Fatal(page, err)
	}
	one := page.Items[0]
	if one.State != "asleep" || one.ClientID != "worker-5" || !slices.Equal(one.Functions, []string{"f0", "f1", "f2"}) || one.FunctionsAll != 3 ||
		one.Listener != address || one.Received == 0 || one.Sent != 16 {
		t.Errorf("%+v", one)
	}
	if c, ok := s.Connection(one.ID); !ok || c.Address != one.Address {
		t.Errorf("%+v", c)
	}
	for _, id := range []string{"", "0", "x", "999999", "-1"} {
		if _, ok := s.Connection(id); ok {
			t.Errorf("there is a connection %q", id)
		}
	}
	for _, q := range []ConnectionQuery{{Sort: "x"}, {Only: "x"}, {Limit: -1}, {Cursor: "x"}} {
		var mistake *QueryError
		if _, err := s.Connections(q); !errors.As(err, &mistake) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	wire.Await(t, "the loops have told of all connections", func() bool {
		n := 0
		for _, l := range s.Loops() {
			n += l.Connections
		}
		return n == workers+clients
	})
	if b := s.Server(); b.State != api.Ready || b.Totals.Workers != workers || b.Totals.Asleep != 1 || b.Totals.Connections != workers+clients ||
		len(b.Listeners) != 2 || b.Listeners[0] != (api.Listener{Address: address, Kind: "tcp"}) {
		t.Errorf("%+v", b)
	}
	if err := s.Alive(); err != nil {
		t.Error(err)
	}
	if m := s.Memory(); m.RSS == 0 || m.Heap == 0 || len(m.Parts) != 3 {
		t.Errorf("%+v", m)
	}
	if h, err := s.History(1); err != nil || h.Step != 1 {
		t.Errorf("%+v, %v", h, err)
	}
	server.Disconnect(s.Peer(one.ID))
	wire.Await(t, "it is disconnected", func() bool { _, ok := s.Connection(one.ID); return !ok })
	server.Drain()
	if conditions, ready := s.Ready(); ready || s.Server().State != api.Draining {
		t.Errorf("while it drains it is ready: %v", conditions)
	}
}

// fullDisk is a store that has failed.
type fullDisk struct{}

func (fullDisk) Stats() store.Stats { return store.Stats{Jobs: 3, Failed: store.ErrFailed} }
func (fullDisk) Activity() disk.Activity {
	return disk.Activity{Failures: disk.Failures{disk.Sync: 2}, Since: start}
}
func (fullDisk) Free() (int64, error) { return 4096, nil }

// A failing store is reported, and makes the broker neither dead nor unready.
func TestStoreFails(t *testing.T) {
	r := newRig(t)
	if _, ok := r.source.Store(); ok {
		t.Error("there is a store")
	}
	r.source.SetStore(fullDisk{})
	r.source.lookAtDisk()
	wire.Await(t, "the room on the disk is known", func() bool { return r.source.StoreFree() == 4096 })
	st, ok := r.source.Store()
	if !ok || st.Up || st.Error == "" || st.Jobs != 3 || st.Failures != 2 || st.FailuresBy["sync"] != 2 || len(st.FailuresBy) != disk.Operations || st.FailingAt == nil || st.Free != 4096 {
		t.Errorf("%+v", st)
	}
	if conditions, ready := r.source.Ready(); !ready || conditions[2].OK || strings.Contains(conditions[2].Text, store.ErrFailed.Error()) {
		t.Errorf("%v", conditions)
	}
	if err := r.source.Alive(); err != nil {
		t.Error(err)
	}
}

// A connection is described: a worker's jobs in hand, since when it has the oldest, what it has completed and
// failed, and when it last asked; a client's submissions that are not answered.
func TestConnectionsAtWork(t *testing.T) {
	s, _, address := serving(t)
	client, worker := wire.Dial(t, address), wire.Dial(t, address)
	worker.Send(codec.SetClientID, "worker")
	client.Send(codec.SetClientID, "client")
	worker.Send(codec.CanDo, "f")
	work := func(as codec.Type) {
		h := client.Submit(codec.SubmitJob, "f", "", "x")
		worker.Grab()
		args := []string{h, "result"}
		if as == codec.WorkFail {
			args = args[:1]
		}
		worker.Send(as, args...)
		client.WantType(as)
	}
	work(codec.WorkComplete)
	work(codec.WorkComplete)
	work(codec.WorkFail)
	client.Submit(codec.SubmitJobBg, "f", "", "x")
	for range 3 {
		client.Submit(codec.SubmitJobHigh, "f", "", "x")
	}
	worker.Grab()
	worker.Grab()
	worker.Sync()
	is := func(id string) api.Connection {
		t.Helper()
		page, err := s.Connections(ConnectionQuery{Match: id})
		if err != nil || len(page.Items) != 1 {
			t.Fatal(page, err)
		}
		return page.Items[0]
	}
	if w := is("worker"); w.State != "busy" || w.Jobs != 2 || w.Oldest < 0 || w.Oldest > await.Limit.Seconds() || w.Done != 2 || w.Failed != 1 ||
		w.LastAsked == nil || w.LastAsked.Ago > await.Limit.Seconds() || w.Listening != 0 {
		t.Errorf("the worker %+v", w)
	}
	if c := is("client"); c.State != "client" || c.Jobs != 0 || c.Listening != 3 || c.LastAsked != nil || c.Done != 0 {
		t.Errorf("the client %+v", c)
	}
}
