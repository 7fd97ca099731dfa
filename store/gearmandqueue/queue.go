// Package gearmandqueue reads the queue that C gearmand keeps in an SQLite file, and puts it into a store.
//
// It is a package of its own because of the weight of SQLite (modernc.org/sqlite, pure Go): the broker
// itself does not need it.
package gearmandqueue

import (
	"database/sql"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"strings"
	"time"

	"gearloop/store"
	"gearloop/store/disk"

	_ "modernc.org/sqlite" // the driver
)

// Table is the name that gearmand gives its table if it is not told another (--libsqlite3-table).
const Table = "gearman_queue"

// Import adds the jobs in gearmand's SQLite file to the store in dir, and returns how many. They
// have no handles; what was submitted first comes first. The file is not changed; gearmand should not be running.
func Import(dir, file, table string) (added int, err error) {
	if table == "" {
		table = Table
	}
	// SQLite would make a file that is not there, and recover one that was left in the middle of a transaction: it
	// may do the latter.
	if _, err := os.Stat(file); err != nil {
		return 0, err
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: file}).EscapedPath()}).String())
	if err != nil {
		return 0, err
	}
	defer db.Close()
	quoted := `"` + strings.ReplaceAll(table, `"`, `""`) + `"`
	rows, err := db.Query(`SELECT unique_key, function_name, priority, data, when_to_run FROM ` + quoted + ` ORDER BY rowid`)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	defer rows.Close()
	im, err := disk.NewImporter(dir)
	if err != nil {
		return 0, err
	}
	defer func() {
		n, closed := im.Close()
		added, err = n, errors.Join(err, closed)
	}()
	for rows.Next() {
		var unique, function, argument []byte
		var priority, due sql.NullInt64
		if err := rows.Scan(&unique, &function, &priority, &argument, &due); err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		job := &store.Job{
			Function: string(function), Unique: string(unique), Priority: store.Normal, Argument: [][]byte{argument},
		}
		if priority.Valid && priority.Int64 >= int64(store.High) && priority.Int64 <= int64(store.Low) {
			job.Priority = store.Priority(priority.Int64)
		}
		if due.Int64 > 0 {
			job.Due = store.Due(time.Unix(min(due.Int64, math.MaxInt64/int64(time.Second)), 0))
		}
		if err := im.Add(job); err != nil {
			return 0, err
		}
	}
	return 0, rows.Err()
}
