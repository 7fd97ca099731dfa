package postgres

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"gearloop/test/await"
	"gearloop/test/pgtest"
)

// blocked waits until some statement waits for a lock.
func blocked(t *testing.T, server *pgtest.Server) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, server.URL(""))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	await.Until(t, "a statement waits for a lock", func() bool {
		var n int
		err := conn.QueryRow(ctx, `select count(*) from pg_stat_activity where wait_event_type = 'Lock'`).Scan(&n)
		return err == nil && n > 0
	})
}

// Taking over waits for a batch of the other broker. A beat in the meantime must not tell that one that it has the lease,
// and then the runs be another's.
func TestBeatDuringTakeover(t *testing.T) {
	server := shared(t)
	url := server.URL(server.Schema(t))
	a, b := start(t, url, alone), start(t, url, func(o *Options) { alone(o); o.Beat = time.Hour })
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	tx, err := conn.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	run := b.heart.run0()
	var n int64
	if err := tx.QueryRow(ctx, `select n from beat where run = $1`, int64(run)).Scan(&n); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, fenceSQL, int64(run)); err != nil { // as a batch under way does
		t.Fatal(err)
	}
	taken := make(chan error, 1)
	go func() { taken <- a.takeRuns(ctx, a.heart.run0(), otherBeat(run, n)) }()
	blocked(t, server)
	beaten := make(chan bool, 1)
	go func() {
		c, err := pgx.Connect(ctx, url)
		if err != nil {
			t.Error(err)
		}
		defer c.Close(ctx)
		tag, err := c.Exec(ctx, beatSQL, int64(run), 0)
		if err != nil {
			t.Error(err)
		}
		beaten <- tag.RowsAffected() > 0
	}()
	var alive, done bool
	select {
	case alive = <-beaten:
		done = true
	case <-time.After(200 * time.Millisecond): // it may wait, too
	}
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-taken; err != nil {
		t.Fatal(err)
	}
	if !done {
		alive = <-beaten
	}
	var owner int64
	if err := conn.QueryRow(ctx, `select owner from run where run = $1`, int64(run)).Scan(&owner); err != nil {
		t.Fatal(err)
	}
	if alive && uint64(owner) != run {
		t.Error("the beat went well, and the runs are another broker's")
	}
}

// A broker that is being taken over takes nobody over: what it gained would belong to nobody.
func TestTakenOverWhileItTakesOver(t *testing.T) {
	server := shared(t)
	url := server.URL(server.Schema(t))
	quiet := func(o *Options) { alone(o); o.Beat = time.Hour }
	a, b, c := start(t, url, quiet), start(t, url, quiet), start(t, url, quiet)
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	tx, err := conn.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	beat := func(run uint64) (o other) {
		o.run = run
		if err := tx.QueryRow(ctx, `select n from beat where run = $1`, int64(run)).Scan(&o.n); err != nil {
			t.Fatal(err)
		}
		return o
	}
	ra, rb, rc := a.heart.run0(), b.heart.run0(), c.heart.run0()
	dead := beat(rc)
	// a takes b over, and is not done yet.
	if tag, err := tx.Exec(ctx, takeOverSQL, int64(ra), int64(rb), beat(rb).n); err != nil || tag.RowsAffected() != 1 {
		t.Fatal(tag, err)
	}
	if _, err := tx.Exec(ctx, forgetBeatSQL, int64(rb)); err != nil {
		t.Fatal(err)
	}
	taken := make(chan error, 1)
	go func() { taken <- b.takeRuns(ctx, rb, dead) }()
	select {
	case err := <-taken: // it did not wait
		taken <- err
	case <-time.After(200 * time.Millisecond):
	}
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-taken; err != nil {
		t.Fatal(err)
	}
	var lost int
	err = conn.QueryRow(ctx, `select count(*) from run r where not exists (select from beat where run = r.owner)`).Scan(&lost)
	if err != nil || lost > 0 {
		t.Errorf("%d runs belong to nobody who beats, %v", lost, err)
	}
}

// Runs of a broker that has ended or is silent are taken over first by a broker of the same node.
func TestOwnRunsFirst(t *testing.T) {
	e, err := Open(Options{URL: "postgres://h/d", Node: "x"})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	h := &e.heart
	names := func(dead []other) string {
		var all []string
		for _, o := range dead {
			all = append(all, fmt.Sprint(o.node, o.run))
		}
		return strings.Join(all, " ")
	}
	see := func(others ...other) string { return names(h.overdue(others, now)) }
	a, x, y := other{1, 5, false, "a"}, other{2, 5, false, "x"}, other{3, 5, false, "y"}
	living := other{4, 1, false, "y"}
	if got := see(a, x, y, living); got != "" {
		t.Errorf("at first: %q", got)
	}
	now = now.Add(e.opts.Takeover)
	living.n++
	if got := see(a, x, y, living); got != "x2 a1" {
		t.Errorf("after the lease: %q", got)
	}
	now = now.Add(3 * e.opts.Beat)
	living.n++
	if got := see(a, x, y, living); got != "x2 a1 y3" {
		t.Errorf("three beats later: %q", got)
	}
	a.released, a.run, x.n = true, 9, 6
	if got := see(a, x, living); got != "a9" {
		t.Errorf("one that is released: %q", got)
	}
}
