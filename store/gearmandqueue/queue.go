// Package gearmandqueue imports the queue that C gearmand keeps in an SQLite file into a store.
//
// It is a package of its own because SQLite (modernc.org/sqlite, pure Go) is large, and the broker itself
// does not need it.
package gearmandqueue

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"gearloop/store"
	"gearloop/store/transfer"

	_ "modernc.org/sqlite" // registers the driver
)

// Table is gearmand's default table (--libsqlite3-table).
const Table = "gearman_queue"

// Import adds the jobs in gearmand's SQLite file to a store, in the order of submission, and closes the importer. The
// jobs get new handles, because gearmand does not store any. A row whose job the importer does not take is left out,
// and leftOut is called with the reason. A priority that gearmand does not have becomes normal and is counted. The
// file is not changed; gearmand should not be running. After an error the import is incomplete, and what was added
// stays.
func Import(to transfer.Importer, file, table string, leftOut func(error)) (done transfer.Imported, err error) {
	defer func() {
		var closed error
		done.Jobs, done.GivenAnew, closed = to.Close()
		if closed != nil {
			err = transfer.Ended(err, closed)
		}
	}()
	if table == "" {
		table = Table
	}
	// SQLite would create a missing file, and recover one that was left inside a transaction; only the latter is
	// wanted.
	if _, err := os.Stat(file); err != nil {
		return done, err
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: file}).EscapedPath()}).String())
	if err != nil {
		return done, err
	}
	defer db.Close()
	quoted := `"` + strings.ReplaceAll(table, `"`, `""`) + `"`
	rows, err := db.Query(`SELECT rowid, unique_key, function_name, priority, data, when_to_run FROM ` + quoted +
		` ORDER BY rowid`)
	if err != nil {
		return done, fmt.Errorf("%s: %w", file, err)
	}
	defer rows.Close()
	for rows.Next() {
		var row int64
		job, ranked, err := read(rows, &row)
		complain := func(why error) {
			done.LeftOut++
			leftOut(fmt.Errorf("row %d of %s: %w", row, table, why))
		}
		if err == nil {
			err = to.Add(job, complain)
		}
		if err == nil && !ranked {
			done.Unranked++
		}
		bad := transfer.ImportError{}
		switch {
		case errors.As(err, &bad):
			complain(bad)
		case err != nil:
			return done, err
		}
	}
	if err := rows.Err(); err != nil {
		return done, fmt.Errorf("%s: %w", file, err)
	}
	return done, nil
}

// read reads the job in a row, and the row's number. SQLite's columns may hold any type. ranked: its priority is one
// that gearmand has.
func read(rows *sql.Rows, row *int64) (job *store.Job, ranked bool, err error) {
	var unique, argument []byte
	var function sql.NullString
	var priority, due any
	if err := rows.Scan(row, &unique, &function, &priority, &argument, &due); err != nil {
		return nil, false, transfer.Unusable(err)
	}
	if !function.Valid {
		return nil, false, transfer.Unusable(errors.New("function_name is NULL"))
	}
	// gearmand stores a unique id of 64 bytes with a NUL in place of its last byte, and then reads it as a C
	// string.
	unique, _, _ = bytes.Cut(unique, []byte{0})
	job = &store.Job{
		Function: function.String, Unique: string(unique), Priority: store.Normal, Argument: [][]byte{argument},
	}
	if p, ok := priority.(int64); ok && p >= int64(store.High) && p <= int64(store.Low) {
		job.Priority, ranked = store.Priority(p), true
	}
	switch at := due.(type) {
	case nil:
	case int64:
		job.Due = store.Due(time.Unix(min(at, store.LatestDue), 0))
	default:
		return nil, false, transfer.Unusable(fmt.Errorf("when_to_run: %v is no number of seconds", at))
	}
	return job, ranked, nil
}
