package postgres

import (
	"context"
	"fmt"
	"testing"
	"time"

	"gearloop/store"
	"gearloop/test/pgtest"
	"gearloop/test/proxy"
)

// The connection breaks at every byte of a batch, and at every byte of its reply: behind the commit, too. What is
// acknowledged is stored, once, and what has ended is gone. Every byte with GEARLOOP_CLUSTER=long, some otherwise.
func TestCutAtEveryByte(t *testing.T) {
	server := shared(t)
	for _, kind := range []struct {
		name             string
		way              proxy.Way
		size             int // of the argument of one of the jobs
		step, thoroughly int
		atLeast          int64 // bytes of a batch
	}{
		{name: "batch", way: proxy.Forth, size: 100, step: 131, thoroughly: 1, atLeast: 400},
		{name: "reply", way: proxy.Back, size: 100, step: 61, thoroughly: 1, atLeast: 100},
		{name: "batch with a large argument", way: proxy.Forth, size: 2 * testLarge, step: 20011, thoroughly: 199, atLeast: testLarge},
		{name: "reply with a large argument", way: proxy.Back, size: 2 * testLarge, step: 71, thoroughly: 3, atLeast: 100},
	} {
		t.Run(kind.name, func(t *testing.T) {
			cutAtEveryByte(t, server, kind.way, kind.size, int64(extent(kind.step, kind.thoroughly)), kind.atLeast)
		})
	}
}

func cutAtEveryByte(t *testing.T, server *pgtest.Server, way proxy.Way, size int, step, atLeast int64) {
	p := proxy.Start(t, fmt.Sprint("127.0.0.1:", server.Port))
	schema := server.Schema(t)
	direct := server.URL(schema)
	through := fmt.Sprintf("postgres://%s@%s/postgres?sslmode=disable&search_path=%s", pgtest.Role, p.Addr, schema)
	a := start(t, through, func(o *Options) {
		o.Beat, o.Lease, o.Takeover = time.Hour, 2*time.Hour, time.Hour // only batches pass
	})
	look, err := Connect(context.Background(), direct)
	if err != nil {
		t.Fatal(err)
	}
	defer look.Close(context.Background())
	argument := make([]byte, size)
	cuts, rows := 0, 0
	var last uint64
	at := int64(1)
	for ; ; at += step {
		if last != 0 {
			a.Done(store.Ref(last))
			rows--
		}
		p.CutAfter(way, at)
		first, one := a.submitSized("f", fmt.Sprint("u", at), argument)
		second, two := a.submitSized("g", "", argument[:10])
		if one == nil || two == nil {
			t.Fatalf("a cut at byte %d: a job is refused", at)
		}
		for i, came := range []<-chan error{one, two} {
			if err := <-came; err != nil {
				t.Fatalf("a cut at byte %d: job %d: %v", at, i, err)
			}
		}
		rows += 2
		last = second
		var there int
		if err := look.QueryRow(context.Background(), "select count(*) from job where handle in ($1, $2)", int64(first), int64(second)).Scan(&there); err != nil {
			t.Fatal(err)
		}
		if there != 2 {
			t.Fatalf("a cut at byte %d: both jobs are acknowledged, %d are stored", at, there)
		}
		if p.Planned() { // a batch has fewer bytes
			break
		}
		cuts++
	}
	p.CutAfter(way, 0)
	if at < atLeast {
		t.Errorf("a batch had only %d bytes", at)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	var left int
	if err := look.QueryRow(context.Background(), "select count(*) from job").Scan(&left); err != nil || left != rows {
		t.Errorf("%d rows, want %d, %v", left, rows, err)
	}
	t.Logf("%d cuts, up to byte %d", cuts, at)
}
