package clustertest

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"gearloop/test/await"
	"gearloop/test/pgtest"
	"gearloop/test/smalldisk"
)

// The disk of the primary is full, for tables first, and then also for the log, which ends the server.
// Background jobs are refused meanwhile, nothing that was acknowledged is lost, and it comes back by itself.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct {
		name string
		log  bool
	}{{"tables", false}, {"log", true}} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			at, err := pgtest.TempDir("disk")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(at) })
			d := smalldisk.Mount(t, at, "150m", "postgres")
			opts := pgtest.Options{
				Dir: filepath.Join(d.At, "data"), Wrap: d.Wrap(),
				Settings: []string{"min_wal_size=32MB", "max_wal_size=32MB", "wal_keep_size=0"},
			}
			if !kind.log {
				log, err := pgtest.TempDir("log")
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { os.RemoveAll(log) })
				opts.Log = filepath.Join(log, "wal")
			}
			db := pgtest.StartWith(t, opts)
			s := open(t, db.URL(""), 2)
			s.submit(4)
			s.l.more(50)
			defer s.l.trouble(-1)()
			d.Fill()
			stop := make(chan struct{})
			if kind.log {
				go switchLogs(db, stop)
				await.Until(t, "the server has ended", func() bool { return !db.Runs() })
			} else {
				refused := s.refused()
				await.Until(t, "jobs are refused", func() bool { return s.refused() > refused })
			}
			close(stop)
			s.work(1)
			d.Free()
			if kind.log {
				db.Kill(syscall.SIGQUIT) // it has ended, and has to be told so
				db.Run(t)
			}
			s.l.more(50)
			s.finish()
		})
	}
}

// switchLogs has a server begin new files of its log, which need room.
func switchLogs(db *pgtest.Server, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(50 * time.Millisecond):
			_ = db.Do("select pg_logical_emit_message(false, 'x', repeat('x', 1000000)), pg_switch_wal()")
		}
	}
}

func (s *site) refused() int {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	return s.l.refused
}
