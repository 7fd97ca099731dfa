package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/jackc/pgx/v5"

	"gearloop/store"
	"gearloop/store/transfer"
)

// ErrNoTables: no broker has ever used the database.
var ErrNoTables = errors.New("there are no tables yet: start a broker with --store, or gearloop store init")

// snapshot begins to read a database as it is now, whatever brokers change meanwhile. The transaction ends with the
// connection. It is an error if there are no tables, or tables that this program does not know.
func snapshot(ctx context.Context, conn *pgx.Conn) (pgx.Tx, error) {
	// Whoever takes what is read may take its time.
	if _, err := conn.Exec(ctx, "set idle_in_transaction_session_timeout = 0"); err != nil {
		return nil, err
	}
	version, err := Version(ctx, conn)
	if err == nil {
		err = readable(version)
	}
	if err != nil {
		return nil, err
	}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err == nil {
		err = began(ctx, conn, tx)
	}
	return tx, err
}

// readable returns an error unless tables of a version can be read without a change.
func readable(version int) error {
	switch {
	case version == 0:
		return ErrNoTables
	case version > Format:
		return newer(version)
	case version < Format:
		return fmt.Errorf("its tables have version %d, this program needs %d: gearloop store migrate brings them there",
			version, Format)
	}
	return nil
}

// Progress is called with how many jobs were read, and their bytes, since the last call.
type Progress func(jobs, bytes int)

// Dump writes the jobs of all brokers as package transfer has them, run by run in the order of their handles: those of a
// function, as they were submitted at a broker. Before them come the settings of functions, by node. It reads one
// snapshot while brokers go on, and holds a few megabytes of it at a time. Jobs whose argument is not whole are left
// out; it returns an ErrDamaged then.
func Dump(ctx context.Context, conn *pgx.Conn, w io.Writer, progress Progress) error {
	tx, err := snapshot(ctx, conn)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // it has changed nothing
	out := transfer.NewWriter(w)
	damage, err := dumpSettings(ctx, tx, out)
	if err != nil {
		return err
	}
	more := 0 // damage that is not listed
	for cursor := int64(math.MinInt64); ; {
		jobs, err := readChunk(ctx, tx, cursor, math.MaxInt64)
		if err != nil {
			return err
		}
		if len(jobs) == 0 {
			break
		}
		bytes := 0
		for i := range jobs {
			job := &jobs[i]
			switch err := dumpJob(ctx, tx, out, job); {
			case errors.Is(err, store.ErrDamaged) && len(damage) >= damageMost:
				more++
			case errors.Is(err, store.ErrDamaged):
				damage = append(damage, err)
			case err != nil:
				return err
			}
			bytes += job.Size
		}
		cursor = int64(jobs[len(jobs)-1].Number)
		progress(len(jobs), bytes)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if more > 0 {
		damage = append(damage, fmt.Errorf("%w: %d more like these", store.ErrDamaged, more))
	}
	return errors.Join(damage...)
}

// damageMost is how much damage of a kind is listed.
const damageMost = 20

func dumpSettings(ctx context.Context, tx pgx.Tx, out *transfer.Writer) (damage []error, err error) {
	rows, err := tx.Query(ctx, `select node, document from setting order by node`)
	if err != nil {
		return nil, err
	}
	var node string
	var document []byte
	_, err = pgx.ForEachRow(rows, []any{&node, &document}, func() error {
		if err := out.Settings(document, node); err != nil {
			damage = append(damage, fmt.Errorf("%w: the settings of functions at node %q are left out: %w", store.ErrDamaged, node, err))
		}
		return nil
	})
	return damage, err
}

func dumpJob(ctx context.Context, tx pgx.Tx, out *transfer.Writer, job *store.Job) error {
	line := *job
	if !store.Valid(line.Number) {
		line.Number = 0 // its handle leads nowhere
	}
	if job.Argument != nil || job.Size == 0 {
		return out.Job(&line, nil)
	}
	return out.Job(&line, func(w io.Writer) error {
		left := job.Size
		for part := 0; left > 0; part++ {
			var piece []byte
			err := tx.QueryRow(ctx, getPieceSQL, int64(job.Number), part).Scan(&piece)
			if left -= len(piece); errors.Is(err, pgx.ErrNoRows) || err == nil && (left < 0 || len(piece) == 0) {
				return fmt.Errorf("%w: job %d is left out: its argument is not whole", store.ErrDamaged, job.Number)
			}
			if err != nil {
				return err
			}
			if _, err := w.Write(piece); err != nil {
				return err
			}
		}
		return nil
	})
}
