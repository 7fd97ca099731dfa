package postgres

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"gearloop/test/await"
	"gearloop/test/pgtest"
)

// A command that reads the database ends when the server hangs in the middle, and goes on while it is only slow.
func TestPatience(t *testing.T) {
	for name, test := range map[string]struct {
		work   time.Duration
		answer time.Duration                                 // 0: as long as a test waits for anything
		during func(t *testing.T, s *pgtest.Server, pid int) // once, while the database is being read
		want   string                                        // "": no error
	}{
		"slow":     {work: time.Hour},
		"too slow": {work: 400 * time.Millisecond, want: "the database has been at one query for 400ms without a result"},
		"frozen": {
			work: time.Hour, answer: 200 * time.Millisecond, during: func(_ *testing.T, s *pgtest.Server, _ int) { s.Freeze() },
			want: "the database has sent nothing for 200ms, and a new connection fails: ",
		},
		"its process is frozen": {
			work: time.Hour, during: func(t *testing.T, s *pgtest.Server, pid int) {
				// One that is stopped in the middle of a query is at work, as far as the server knows.
				await.Until(t, "it has done its query", func() (done bool) {
					err := s.Ask(fmt.Sprintf(
						"select not exists (select from pg_stat_activity where pid = %d and state = 'active')", pid), &done)
					return err == nil && done
				})
				syscall.Kill(pid, syscall.SIGSTOP)
			},
			want: "the database has sent nothing for 200ms, and is not at work on the query: ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := shared(t)
			if test.answer == 0 {
				test.answer = await.Limit
			} else {
				s = pgtest.Start(t) // to be frozen
			}
			schema := s.Schema(t)
			url := s.URL(schema)
			if err := Reading(url, func(ctx context.Context, conn *pgx.Conn) error {
				_, err := Init(ctx, conn)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			// Few more than check reads between calls of Progress, so that the server can send the rest meanwhile.
			s.Exec(t, "insert into "+schema+".job (handle, due, prio, retries, fn, uniq, reducer, size, data)"+
				" select n, 0, 1, 0, 'f', '', '', 1, 'x' from generate_series(1, 4200) n")
			p := patience{connect: await.Limit, silence: 200 * time.Millisecond, answer: test.answer, work: test.work}
			for command, read := range map[string]func(context.Context, *pgx.Conn, Progress) error{
				"dump": func(ctx context.Context, conn *pgx.Conn, progress Progress) error {
					return Dump(ctx, conn, io.Discard, progress)
				},
				"check": func(ctx context.Context, conn *pgx.Conn, progress Progress) error {
					_, err := Check(ctx, conn, progress)
					return err
				},
			} {
				err := p.reading(url, func(ctx context.Context, conn *pgx.Conn) error {
					var pid int
					if err := conn.QueryRow(ctx, "select pg_backend_pid()").Scan(&pid); err != nil {
						return err
					}
					if test.during == nil { // longer than silence, or than anybody waits
						nap := 1.
						if test.want != "" {
							nap = await.Limit.Seconds()
						}
						tx, err := snapshot(ctx, conn)
						if err != nil {
							return err
						}
						if _, err := tx.Exec(ctx, "select pg_sleep($1)", nap); err != nil {
							return err
						}
						if err := tx.Commit(ctx); err != nil {
							return err
						}
						return read(ctx, conn, func(int, int) {})
					}
					var once sync.Once
					return read(ctx, conn, func(int, int) { once.Do(func() { test.during(t, s, pid) }) })
				})
				s.Thaw()
				if got := fmt.Sprint(err); !strings.HasPrefix(got, test.want) || (err == nil) != (test.want == "") || strings.Contains(got, "\n") {
					t.Errorf("%s: %v, want %q", command, err, test.want)
				}
			}
		})
	}
}
