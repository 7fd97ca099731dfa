package clustertest

import (
	"testing"
	"time"

	"gearloop/test/await"
	"gearloop/test/pgtest"
)

// The machine of the primary is lost under Patroni, which makes a standby the primary. Nothing is lost,
// nobody takes over from anybody, and jobs are acknowledged again within half a minute.
func TestPrimaryKilled(t *testing.T) {
	if !long { // the pause is measured
		t.Parallel()
	}
	db := pgtest.StartPatroni(t)
	s := open(t, db.URL(), 2)
	s.submit(8)
	s.work(2)
	for n := range times(1, 5) {
		s.l.more(100)
		leader, err := db.Leader()
		if err != nil {
			t.Fatal(err)
		}
		over := s.l.trouble(-1)
		leader.Crash()
		begin := time.Now()
		await.Until(t, "there is another primary", func() bool {
			time.Sleep(poll)
			_, err := db.Leader()
			return err == nil
		})
		s.l.more(1)
		pause := time.Since(begin)
		s.l.more(100)
		over()
		t.Logf("%v until a job was acknowledged again", pause.Round(100*time.Millisecond))
		if limit := await.Scaled(30 * time.Second); long && pause > limit {
			t.Errorf("that is more than %v", limit)
		}
		if n == times(1, 5)-1 {
			break
		}
		if err := leader.Start(); err != nil {
			t.Fatal(err)
		}
		if err := db.Whole(); err != nil {
			t.Fatal(err)
		}
	}
	s.finish()
}
