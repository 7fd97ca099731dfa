package postgres

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"gearloop/store"
	"gearloop/test/await"
)

// The server is slow with a batch: it has received it, and does not begin. The broker gives the connection up and sends the
// batch again, the job is done and deleted. When the server goes on with the first one it must not store the job again.
func TestLateBatch(t *testing.T) {
	server := shared(t)
	schema := server.Schema(t)
	p := through(t, server, schema)
	a := start(t, p.url, func(o *Options) { alone(o); o.Beat = time.Hour; o.sweepEvery = time.Hour }) // nothing else is sent
	pid := int(a.backend.pid)
	for range 5 { // statements are prepared, so that a batch is one message
		a.Done(store.Ref(a.mustSubmit("f", "u")))
	}
	rows := func() (n int) {
		if err := server.Ask("select count(*) from "+schema+".job", &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	await.Until(t, "their ends are stored", func() bool { return rows() == 0 })
	await.Until(t, "the server waits for the next batch", func() bool {
		var waits bool
		return server.Ask(fmt.Sprintf("select wait_event = 'ClientRead' from pg_stat_activity where pid = %d", pid), &waits) == nil && waits
	})
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	trips := p.syncs.Load()
	number, came := a.submit("f", "u")
	await.Until(t, "the batch is sent", func() bool { return p.syncs.Load() > trips })
	p.part()
	if err := <-came; err != nil { // over a second connection
		t.Fatal(err)
	}
	if n := rows(); n != 1 {
		t.Fatalf("%d rows", n)
	}
	a.Done(store.Ref(number))
	await.Until(t, "the end is stored", func() bool { return rows() == 0 })
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the server has ended the first connection", func() bool {
		var there bool
		return server.Ask(fmt.Sprintf("select exists (select from pg_stat_activity where pid = %d)", pid), &there) == nil && !there
	})
	if n := rows(); n != 0 {
		t.Errorf("%d rows: the job is stored again", n)
	}
}

// A pooler may give a broker that connects again the process that it had before, which has nothing left to do for the
// connection that was lost: it is not ended.
func TestSameBackend(t *testing.T) {
	server := shared(t)
	schema := server.Schema(t)
	conn, err := pgx.Connect(t.Context(), server.URL(schema))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	e := &Engine{}
	for range 2 {
		if err := e.look(t.Context(), conn); err != nil {
			t.Fatal(err)
		}
	}
}
