package clustertest

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"gearloop/test/await"
)

// A snapshot stays open, as a long query or a backup has one, while jobs come and go: the rows of those that
// have ended can't be removed. The rates before and meanwhile are printed; on a busy machine they say little.
func TestOpenSnapshot(t *testing.T) {
	if !long {
		t.Parallel()
	}
	_, url := schema(t)
	s := open(t, url, 2)
	if long {
		s.pace = 0
	}
	s.submit(times(4, 64))
	s.work(times(2, 8))
	span := time.Duration(times(2, 60)) * time.Second
	s.l.more(100)
	before := s.rate(span / 3)
	ctx, cancel := context.WithTimeout(context.Background(), await.Limit+span)
	defer cancel()
	conn, err := pgx.Connect(ctx, url+"&target_session_attrs=read-write")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	var there int
	if err := tx.QueryRow(ctx, "select count(*) from job").Scan(&there); err != nil {
		t.Fatal(err)
	}
	during := s.rate(span)
	var again int
	if err := tx.QueryRow(ctx, "select count(*) from job").Scan(&again); err != nil || again != there {
		t.Errorf("the snapshot shows %d jobs and then %d, %v", there, again, err)
	}
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("%.0f jobs a second before, %.0f under the snapshot: %.2f", before, during, during/before)
	s.finish()
}

// rate returns how many jobs a second were handed out in a while.
func (s *site) rate(span time.Duration) float64 {
	count := func() int {
		s.l.mu.Lock()
		defer s.l.mu.Unlock()
		return s.l.runs
	}
	begin, before := time.Now(), count()
	time.Sleep(span)
	return float64(count()-before) / time.Since(begin).Seconds()
}
