package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// patience is how long a command that reads a whole database waits for it. Such a command has no limit of time as a whole,
// and a query that counts a large table sends nothing while the server is at work. So after silence the server is asked
// through a second connection whether it still is.
type patience struct {
	connect time.Duration // for the first connection
	silence time.Duration // without a byte, before the server is asked
	answer  time.Duration // for its answer to that
	work    time.Duration // without a byte, although the server says that it is at work
}

var patienceOfCommands = patience{connect: 30 * time.Second, silence: 30 * time.Second, answer: 30 * time.Second, work: 10 * time.Minute}

// Reading opens a connection, calls f, and closes it. Each wait for the database ends: after 30 s without a byte if the
// server does not say then, on another connection, that it is at work on the query; otherwise after 10 minutes.
func Reading(url string, f func(context.Context, *pgx.Conn) error) error {
	return patienceOfCommands.reading(url, f)
}

func (p patience) reading(url string, f func(context.Context, *pgx.Conn) error) error {
	config, err := configOf(&Options{URL: url, Node: "command"})
	if err != nil {
		return err
	}
	w := &waiting{patience: p, config: config.Copy()}
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &waitingConn{c, w}, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), p.connect)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return fmt.Errorf("the database has not answered within %v: %w", p.connect, err)
		}
		return err
	}
	conn.PgConn().CustomData()[waitingKey] = w
	w.armed.Store(true)
	err = f(context.Background(), conn)
	w.armed.Store(false)
	goodbye, over := context.WithTimeout(context.Background(), goodbyeLimit)
	defer over()
	conn.Close(goodbye)
	if w.failed != nil {
		return w.failed
	}
	return err
}

// waiting is what the connections of a command share.
type waiting struct {
	patience

	config *pgx.ConnConfig // for asking the server
	pid    int32           // of the server's process for the transaction; 0: none has begun
	armed  atomic.Bool     // the connection is open: until then, and at the end, contexts limit it
	failed error           // why a wait was given up; for the goroutine that reads
}

// waitingKey is where a connection has its waiting.
const waitingKey = "waiting"

// began notes which process of the server has the transaction: behind a pooler that may be another one each time.
func began(ctx context.Context, conn *pgx.Conn, tx pgx.Tx) error {
	w, ok := conn.PgConn().CustomData()[waitingKey].(*waiting)
	if !ok {
		return nil
	}
	return tx.QueryRow(ctx, "select pg_backend_pid()").Scan(&w.pid)
}

// waitingConn is a connection whose reads and writes are limited.
type waitingConn struct {
	net.Conn
	w *waiting
}

func (c *waitingConn) Read(b []byte) (int, error) {
	if !c.w.armed.Load() {
		return c.Conn.Read(b)
	}
	idle := false // the server was not at work; what it sent may have come while it was asked
	for began := time.Now(); ; {
		if err := c.SetReadDeadline(time.Now().Add(c.w.silence)); err != nil {
			return 0, err
		}
		n, err := c.Conn.Read(b)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		silent := time.Since(began)
		works, err := c.w.ask()
		switch {
		case err != nil:
			err = fmt.Errorf("the database has sent nothing for %v, and a new connection fails: %v", c.w.silence, err)
		case !works && idle:
			err = fmt.Errorf(
				"the database has sent nothing for %v, and is not at work on the query: the connection is broken",
				c.w.silence)
		case silent >= c.w.work:
			err = fmt.Errorf("the database has been at one query for %v without a result", c.w.work)
		}
		if err != nil {
			return 0, c.w.giveUp(err)
		}
		idle = !works
	}
}

func (c *waitingConn) Write(b []byte) (int, error) {
	if !c.w.armed.Load() {
		return c.Conn.Write(b)
	}
	if err := c.SetWriteDeadline(time.Now().Add(c.w.silence)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = c.w.giveUp(fmt.Errorf("the database has read nothing for %v", c.w.silence))
	}
	return n, err
}

// giveUp keeps why the command ends. pgx takes a timeout for something that passes, so err must not be one.
func (w *waiting) giveUp(err error) error {
	w.armed.Store(false)
	w.failed = err
	return err
}

// ask asks the server whether it is at work for the command.
func (w *waiting) ask() (works bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), w.answer)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, w.config.Copy())
	if err != nil {
		return false, err
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, "select exists (select from pg_stat_activity where pid = $1 and state = 'active')", w.pid).Scan(&works)
	return works, err
}
