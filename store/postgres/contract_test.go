package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"gearloop/store"
	"gearloop/store/storetest"
	"gearloop/test/await"
	"gearloop/test/pgtest"
)

const testLarge = 20 << 10

// The engine keeps the contract of package store.
func TestContract(t *testing.T) {
	server := shared(t)
	thorough, _ := strconv.Atoi(os.Getenv("GEARLOOP_CRASH"))
	storetest.Run(t, storetest.Engine{
		New: func(tb testing.TB) storetest.Site {
			return &site{tb: tb, server: server, schema: server.Schema(tb)}
		},
		Large: testLarge, Unique: true, Slow: true, Thorough: thorough,
		Faults: []error{errors.New("the connection is lost"), &pgconn.PgError{Code: "53100", Message: "no space left"}},
	})
}

// site is a schema of a server.
type site struct {
	tb     testing.TB
	server *pgtest.Server
	schema string
	calls  atomic.Pointer[func(string) error]
}

// quick are options that let a test not wait.
func quick(url string) Options {
	return Options{
		URL: url, Node: "node", MaxQueued: 2 << 20, Beat: 15 * time.Millisecond, Lease: time.Minute, Takeover: await.Scaled(150 * time.Millisecond),
		Patience: 40 * time.Millisecond, callLimit: await.Limit, large: testLarge, retryEvery: 4 * time.Millisecond, lazyFor: 2 * time.Millisecond,
		sweepEvery: 20 * time.Millisecond,
	}
}

func (s *site) Open() (store.Store, error) {
	opts := quick(s.server.URL(s.schema))
	opts.before = func(call string) error {
		if f := s.calls.Load(); f != nil {
			return (*f)(call)
		}
		return nil
	}
	return Open(opts)
}

func (s *site) Intercept(f func(string) error) {
	if f == nil {
		s.calls.Store(nil)
		return
	}
	s.calls.Store(&f)
}

// Adopted: no other broker beats or is waited for, and what was another's is read.
func (s *site) Adopted(st store.Store) bool {
	e := st.(*Engine)
	ctx, cancel := context.WithTimeout(context.Background(), await.Limit)
	defer cancel()
	pool, err := e.readers(ctx)
	if err != nil {
		return false
	}
	var beats, runs int
	err = pool.QueryRow(ctx, `select (select count(*) from beat), (select count(*) from run)`).Scan(&beats, &runs)
	e.adoption.mu.Lock()
	known := len(e.adoption.runs) + len(e.adoption.own)
	e.adoption.mu.Unlock()
	return err == nil && beats == 1 && known >= runs && e.adoption.isIdle()
}

// Crash copies what is committed.
func (s *site) Crash(bool) storetest.Site {
	left := &site{tb: s.tb, server: s.server, schema: s.server.Schema(s.tb)}
	ctx, cancel := context.WithTimeout(context.Background(), await.Limit)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.server.URL(""))
	if err != nil {
		s.tb.Error(err)
		return left
	}
	defer conn.Close(ctx)
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		s.tb.Error(err)
		return left
	}
	var there bool
	err = tx.QueryRow(ctx, "select to_regclass($1) is not null", s.schema+".meta").Scan(&there)
	for _, table := range []string{"meta", "run", "beat", "job", "arg", "setting"} {
		if err != nil || !there {
			break
		}
		_, err = tx.Exec(ctx, fmt.Sprintf("create table %[2]s.%[3]s (like %[1]s.%[3]s including all); insert into %[2]s.%[3]s select * from %[1]s.%[3]s",
			s.schema, left.schema, table), pgx.QueryExecModeSimpleProtocol)
	}
	if err == nil {
		err = tx.Commit(ctx)
	}
	if err != nil {
		s.tb.Error(err)
	}
	return left
}
