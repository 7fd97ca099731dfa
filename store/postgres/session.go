package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"gearloop/store"
)

// connectLimit is how long an attempt to connect may take.
const connectLimit = 5 * time.Second

const (
	closeLimit   = 5 * time.Second // how long Close waits for batches
	goodbyeLimit = time.Second     // how long closing a connection may take
)

// sessionSQL sets what the engine relies on. These are no parameters of the connection's start: PgBouncer refuses those that
// it does not know or, by ignore_startup_parameters, drops them without a word.
const sessionSQL = `
	set synchronous_commit = on; -- a commit is on a quorum, whatever the server's default is
	set enable_seqscan = off;    -- plans are made before the tables have grown
	set jit = off;               -- enable_seqscan=off makes an unavoidable scan look expensive enough to compile it each time
	set idle_in_transaction_session_timeout = '5s';
	set default_transaction_isolation = 'read committed';
	set timezone = 'UTC'`

// configOf reads the URL, and sets what the engine relies on.
func configOf(opts *Options) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(opts.URL)
	if err != nil {
		return nil, err
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "gearloop " + opts.Node
	}
	config.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		return conn.Exec(ctx, sessionSQL).Close()
	}
	if config.ValidateConnect == nil {
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectLimit
	}
	return config, nil
}

// Connect opens a connection for an operator's command.
func Connect(ctx context.Context, url string) (*pgx.Conn, error) {
	config, err := configOf(&Options{URL: url, Node: "command"})
	if err != nil {
		return nil, err
	}
	return pgx.ConnectConfig(ctx, config)
}

// connect opens the committer's connection. That it is there is said when it has stored something (recovered): one that
// breaks again and again is one change of state, not many.
func (e *Engine) connect(ctx context.Context) error {
	if err := e.ask("connect"); err != nil {
		return err
	}
	conn, err := e.dial(ctx)
	if err != nil {
		return err
	}
	e.arrived = []Event{{Kind: Connected, Text: "connected to the database", Details: []any{
		"address", conn.PgConn().Conn().RemoteAddr().String(), "database", conn.Config().Database,
	}}}
	if err := e.look(ctx, conn); err != nil {
		conn.Close(ctx)
		return err
	}
	e.session = conn
	e.connected.Store(true)
	return nil
}

// Secret returns what all brokers of the database know, and nobody else; "" before the first connection.
func (e *Engine) Secret() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.secret
}

// Self returns the run that stands for this broker in the fence, 0 if there is none.
func (e *Engine) Self() uint64 { return e.heart.run0() }

func (e *Engine) dial(ctx context.Context) (*pgx.Conn, error) {
	return pgx.ConnectConfig(ctx, e.config.Copy())
}

// backend is the server's process of a connection. A later one with the same pid has another start.
type backend struct {
	pid   int32
	start *time.Time // nil: not known
}

// endBackendSQL ends what the server is still doing for the connection that was lost. It may have received a batch, and
// not have begun it. The batch is sent again, and its jobs may have been done, and have been deleted, when the server
// gets to the first one: that would store them once more.
const endBackendSQL = `select pg_terminate_backend(pid) from pg_stat_activity where pid = $1 and backend_start = $2
	and pid <> pg_backend_pid() -- a pooler may hand it over again`

// look makes the tables if there are none, and has it said if the database stands alone.
func (e *Engine) look(ctx context.Context, conn *pgx.Conn) error {
	before, err := Init(ctx, conn)
	if err != nil {
		return err
	}
	if before != Format {
		e.event(Event{Text: "tables were made", Details: []any{"version", Format, "before", before}})
	}
	var standbys, secret string
	var now backend
	err = conn.QueryRow(ctx, `select current_setting('synchronous_standby_names'), secret, pg_backend_pid(),
		(select backend_start from pg_stat_activity where pid = pg_backend_pid()) from meta`).Scan(&standbys, &secret, &now.pid, &now.start)
	if err != nil {
		return err
	}
	if e.backend.start != nil {
		if _, err := conn.Exec(ctx, endBackendSQL, e.backend.pid, *e.backend.start); err != nil && faultOf(err) == unknown {
			return err
		}
	}
	e.backend = now
	e.mu.Lock()
	e.secret = secret
	e.mu.Unlock()
	if strings.TrimSpace(standbys) == "" {
		e.arrived = append(e.arrived, Event{
			Warning: true, Text: "acknowledged jobs are on one machine only: the database has no synchronous standby",
			Details: []any{"setting", "synchronous_standby_names"},
		})
	}
	return nil
}

func (e *Engine) event(ev Event) {
	e.mu.Lock()
	e.activity.Events[ev.Kind]++
	e.mu.Unlock()
	if e.opts.Event != nil {
		e.opts.Event(ev)
	}
}

// readers returns the connections for everything that is no batch and no beat.
func (e *Engine) readers(ctx context.Context) (*pgxpool.Pool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.ctx.Err() != nil:
		return nil, store.ErrClosed
	case e.pool != nil:
		return e.pool, nil
	}
	config, err := pgxpool.ParseConfig(e.opts.URL)
	if err != nil {
		return nil, err
	}
	config.ConnConfig = e.config.Copy()
	config.MaxConns, config.MinConns = 3, 0
	if e.pool, err = pgxpool.NewWithConfig(context.WithoutCancel(ctx), config); err != nil {
		return nil, err
	}
	return e.pool, nil
}

func (e *Engine) closePool() {
	e.mu.Lock()
	pool := e.pool
	e.pool = nil
	e.mu.Unlock()
	if pool != nil {
		pool.Close()
	}
}

// enroll gives the broker a run of its own, and with that its place in the fence.
func (e *Engine) enroll(ctx context.Context) error {
	if err := e.ask("enroll"); err != nil {
		return err
	}
	run, err := e.addRun(ctx, 0)
	if err != nil {
		return err
	}
	e.me = run
	e.mu.Lock()
	e.run, e.runs[run] = run, true
	e.mu.Unlock()
	e.heart.set(run)
	if e.opts.Ready != nil {
		e.opts.Ready()
	}
	return nil
}

// addRun enters a run that was never given out, for its owner, or as one that owns itself.
func (e *Engine) addRun(ctx context.Context, owner uint64) (run uint64, err error) {
	tx, err := e.session.Begin(ctx)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is left to roll back after the commit
	// Minutes are in it so that an emptied database gives no run a second time.
	minutes := time.Now().Unix()/60 - beginOfRuns
	var number int64
	err = tx.QueryRow(ctx, `update meta set last_run = greatest(last_run + 1, $1) returning last_run`, minutes).Scan(&number)
	if err != nil {
		return 0, err
	}
	if run = uint64(number); run > store.MaxRun {
		return 0, fmt.Errorf("%w: run %d is beyond the last, %d", store.ErrFailed, run, uint64(store.MaxRun))
	}
	if owner == 0 {
		owner = run
		if _, err := tx.Exec(ctx, `insert into beat (run, n, released) values ($1, 0, false)`, number); err != nil {
			return 0, err
		}
	} else if tag, err := tx.Exec(ctx, fenceSQL, int64(owner)); err != nil {
		return 0, err
	} else if tag.RowsAffected() == 0 {
		return 0, errFenced
	}
	_, err = tx.Exec(ctx, `insert into run (run, owner, node, address) values ($1, $2, $3, $4)`,
		number, int64(owner), e.opts.Node, e.opts.Address)
	if err != nil {
		return 0, err
	}
	e.adoption.opens(run)
	return run, tx.Commit(ctx)
}

// beginOfRuns is 2025-01-01 in minutes since 1970.
const beginOfRuns = 28928160

// isFinal reports whether an error at the start will not go away by itself.
func isFinal(err error) bool {
	if errors.Is(err, store.ErrNewer) {
		return true
	}
	refused := (*pgconn.PgError)(nil)
	if !errors.As(err, &refused) {
		return false
	}
	switch refused.Code[:2] {
	case "28", // no such role, or a wrong password
		"3D", "3F", // no such database, no such schema
		"42": // no right, or other tables than ours
		return true
	}
	return false
}

// fault is how an error of a batch is dealt with.
type fault int

const (
	unknown fault = iota // the connection is lost: the batch may have been committed
	again                // it was not, and may be at the next attempt
	refusal              // a job of the batch can't be stored
	full                 // nothing can be stored at present
)

// faultOf sorts errors of a batch.
func faultOf(err error) fault {
	refused := (*pgconn.PgError)(nil)
	if !errors.As(err, &refused) {
		return unknown
	}
	switch refused.Code[:2] {
	case "40": // deadlock
		return again
	case "08", "57", "25": // the server ends, or is one that takes no writes any more
		return unknown
	case "22", "23", "54": // a value, a constraint, a limit
		return refusal
	}
	return full // the disk is full, out of memory, an I/O error, a right that is gone
}
