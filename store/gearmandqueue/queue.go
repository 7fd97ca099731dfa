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
	"gearloop/store/disk"

	_ "modernc.org/sqlite" // registers the driver
)

// Table is gearmand's default table (--libsqlite3-table).
const Table = "gearman_queue"

// Import adds the jobs in gearmand's SQLite file to the store in dir, in the order of submission. They get
// new handles, because gearmand does not store any. A row whose job could not have been submitted (see
// disk.Importer.Accept) is left out, and leftOut is called with the reason. The file is not changed; gearmand
// should not be running. After an error the import is incomplete, and what was added stays.
func Import(dir, file, table string, accept func(*store.Job) error, leftOut func(error)) (done disk.Imported, err error) {
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
	rows, err := db.Query(`SELECT rowid, unique_key, function_name, priority, data, when_to_run FROM ` + quoted + ` ORDER BY rowid`)
	if err != nil {
		return done, fmt.Errorf("%s: %w", file, err)
	}
	defer rows.Close()
	im, err := disk.NewImporter(dir)
	if err != nil {
		return done, err
	}
	im.Accept = accept
	defer func() {
		n, closed := im.Close()
		done.Jobs, err = n, errors.Join(err, closed)
	}()
	for rows.Next() {
		var row int64
		job, err := read(rows, &row)
		if err == nil {
			err = im.Add(job)
		}
		bad := disk.ImportError{}
		switch {
		case errors.As(err, &bad):
			done.LeftOut++
			leftOut(fmt.Errorf("row %d of %s: %w", row, table, bad))
		case err != nil:
			return done, err
		}
	}
	if err := rows.Err(); err != nil {
		return done, fmt.Errorf("%s: %w", file, err)
	}
	return done, nil
}

// read reads the job in a row, and the row's number. SQLite's columns may hold any type.
func read(rows *sql.Rows, row *int64) (*store.Job, error) {
	var unique, argument []byte
	var function sql.NullString
	var priority, due any
	if err := rows.Scan(row, &unique, &function, &priority, &argument, &due); err != nil {
		return nil, disk.Unusable(err)
	}
	if !function.Valid {
		return nil, disk.Unusable(errors.New("function_name is NULL"))
	}
	// gearmand stores a unique id of 64 bytes with a NUL in place of its last byte, and then reads it as a C
	// string.
	unique, _, _ = bytes.Cut(unique, []byte{0})
	job := &store.Job{
		Function: function.String, Unique: string(unique), Priority: store.Normal, Argument: [][]byte{argument},
	}
	if p, ok := priority.(int64); ok && p >= int64(store.High) && p <= int64(store.Low) {
		job.Priority = store.Priority(p)
	}
	switch at := due.(type) {
	case nil:
	case int64:
		job.Due = store.Due(time.Unix(min(at, store.LatestDue), 0))
	default:
		return nil, disk.Unusable(fmt.Errorf("when_to_run: %v is no number of seconds", at))
	}
	return job, nil
}
