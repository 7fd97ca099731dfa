package gearmandqueue

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gearloop/sched"
	"gearloop/store"
	"gearloop/store/disk"
	"gearloop/store/transfer"
	"gearloop/test/await"
	"gearloop/test/peers"
)

// submit sends a job to a server and waits for JOB_CREATED.
func submit(t *testing.T, conn net.Conn, packet uint32, parts ...string) {
	t.Helper()
	const jobCreated = 8
	body := strings.Join(parts, "\x00")
	b := binary.BigEndian.AppendUint32([]byte("\x00REQ"), packet)
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(body))), body...)
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
	var head [12]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(head[8:]))); err != nil {
		t.Fatal(err)
	}
	if got := binary.BigEndian.Uint32(head[4:]); got != jobCreated {
		t.Fatal("answered with packet", got)
	}
}

// adopter calls a function for each job.
type adopter func(*store.Job)

func (f adopter) Adopt(jobs []store.Job) bool {
	for i := range jobs {
		f(&jobs[i])
	}
	return true
}

func (adopter) Opened(uint64)   {}
func (adopter) Lease(time.Time) {}
func (adopter) Disowned()       {}
func (adopter) Flushed()        {}

// into returns the importer for a directory.
func into(t *testing.T, dir string) transfer.Importer {
	t.Helper()
	im, err := disk.NewImporter(dir, sched.Storable)
	if err != nil {
		t.Fatal(err)
	}
	return im
}

// A queue of gearmand is imported: all priorities, the time of delayed jobs, any bytes.
func TestImport(t *testing.T) {
	file := filepath.Join(t.TempDir(), "queue of gearmand?.db")
	server := peers.Start(t, peers.C, "-q", "libsqlite3", "--libsqlite3-db", file)
	conn, err := server.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(await.Limit)); err != nil {
		t.Fatal(err)
	}
	const background, high, low, epoch = 18, 32, 34, 36
	large := strings.Repeat("large ", store.LargeArgument/4)
	submit(t, conn, background, "normal", "u1", "one\x00two")
	submit(t, conn, high, "high", "u2", "urgent")
	submit(t, conn, low, "low", "u3", large)
	submit(t, conn, epoch, "later", "u4", "2000000000", "in 2033")
	submit(t, conn, epoch, "never", "u5", "1795835859000", "in the year 58878")
	submit(t, conn, epoch, "never", "u6", "9223372036854775807", "after all times")
	submit(t, conn, background, "any\xff", "\xfe", "\x80\x00")
	submit(t, conn, background, "empty", "", "")
	submit(t, conn, background, "longest", strings.Repeat("u", 64), "its unique id is the longest")
	submit(t, conn, background, strings.Repeat("f", 513), "", "no packet of ours has such a name")
	submit(t, conn, background, "dash", "-", "argument as unique id")
	server.Stop()

	dir := t.TempDir()
	var complaints []string
	done, err := Import(into(t, dir), file, "", func(why error) { complaints = append(complaints, why.Error()) })
	if err != nil || done != (transfer.Imported{Jobs: 10, LeftOut: 1}) {
		t.Fatalf("%+v, %v", done, err)
	}
	if want := []string{"row 10 of gearman_queue: function has 513 bytes, the most is 512"}; !slices.Equal(complaints, want) {
		t.Errorf("told %q, want %q", complaints, want)
	}
	d, err := disk.Open(disk.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	want := []store.Job{
		{Function: "normal", Unique: "u1", Priority: store.Normal, Argument: [][]byte{[]byte("one\x00two")}},
		{Function: "high", Unique: "u2", Priority: store.High, Argument: [][]byte{[]byte("urgent")}},
		{Function: "low", Unique: "u3", Priority: store.Low, Size: len(large)},
		{Function: "later", Unique: "u4", Priority: store.Normal, Argument: [][]byte{[]byte("in 2033")}, Due: 2e18},
		{Function: "never", Unique: "u5", Priority: store.Normal, Argument: [][]byte{[]byte("in the year 58878")}, Due: 9223372036e9},
		{Function: "never", Unique: "u6", Priority: store.Normal, Argument: [][]byte{[]byte("after all times")}, Due: 9223372036e9},
		{Function: "any\xff", Unique: "\xfe", Priority: store.Normal, Argument: [][]byte{[]byte("\x80\x00")}},
		{Function: "empty", Priority: store.Normal},
		// gearmand stores a NUL instead of the last letter.
		{Function: "longest", Unique: strings.Repeat("u", 63), Priority: store.Normal, Argument: [][]byte{[]byte("its unique id is the longest")}},
		{Function: "dash", Unique: "\x00-argument as unique id", Priority: store.Normal, Argument: [][]byte{[]byte("argument as unique id")}},
	}
	i := 0
	err = d.Start(adopter(func(got *store.Job) {
		if i == len(want) {
			t.Fatalf("too much: %+v", got)
		}
		w := &want[i]
		if got.Function != w.Function || got.Unique != w.Unique || got.Priority != w.Priority || got.Due != w.Due ||
			!bytes.Equal(bytes.Join(got.Argument, nil), bytes.Join(w.Argument, nil)) ||
			store.ShardOfNumber(got.Number) != store.ShardOf(got.Function) || !store.Valid(got.Number) {
			t.Errorf("got %+v, want %+v", got, w)
		}
		if w.Size > 0 {
			var whole bytes.Buffer
			done := make(chan error)
			d.Argument(got.Ref, &whole, func(err error) { done <- err })
			if err := <-done; err != nil || whole.String() != large {
				t.Errorf("large argument: %d bytes, %v", whole.Len(), err)
			}
		}
		i++
	}))
	if err != nil || i != len(want) {
		t.Error(i, err)
	}
}

// A file that is missing or not gearmand's is not changed, and no store is made.
func TestNotAQueue(t *testing.T) {
	home := t.TempDir()
	dir := filepath.Join(home, "data")
	text := filepath.Join(home, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(home, "other")
	db, err := sql.Open("sqlite", other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE jobs (id INTEGER)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{filepath.Join(home, "nothing"), text, other} {
		if done, err := Import(into(t, dir), file, "", nil); err == nil || done != (transfer.Imported{}) {
			t.Error(file, done, err)
		}
	}
	entries, err := os.ReadDir(home)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, []string{"other", "text"}) {
		t.Error(names)
	}
}

// Rows that are not jobs which a client could have submitted are left out and reported by number, whatever
// SQLite allows in a column. The rows before and after them are imported.
func TestBadRows(t *testing.T) {
	file := filepath.Join(t.TempDir(), "queue")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE other (unique_key TEXT, function_name TEXT, priority INTEGER, data BLOB, when_to_run INTEGER)"); err != nil {
		t.Fatal(err)
	}
	want := []string{}
	for i, row := range []struct {
		values    []any
		complaint string
	}{
		{[]any{"u", "f", 1, "first", 0}, ""},
		{[]any{"u", "f\x00", 1, "", 0}, "function has a NUL in it"},
		{[]any{"u", strings.Repeat("f", 600), 1, "", 0}, "function has 600 bytes, the most is 512"},
		{[]any{strings.Repeat("u", 65537), "f", 1, "", 0}, "unique has 65537 bytes, the most is 65536"},
		{[]any{"u", nil, 1, "", 0}, "function_name is NULL"},
		{[]any{"u", "f", 1, "", "soon"}, "when_to_run: soon is no number of seconds"},
		{[]any{nil, "f", nil, nil, nil}, ""},
		{[]any{"u", "f", 7, "", -5}, ""},
		{[]any{"u", "f", "high", 12, int64(1) << 40}, ""},
		{[]any{[]byte("u\x00v"), []byte("f"), 2, []byte("last"), int64(math.MaxInt64)}, ""},
	} {
		if _, err := db.Exec("INSERT INTO other VALUES (?, ?, ?, ?, ?)", row.values...); err != nil {
			t.Fatal(err)
		}
		if row.complaint != "" {
			want = append(want, fmt.Sprintf("row %d of other: %s", i+1, row.complaint))
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	complaints := []string{}
	done, err := Import(into(t, dir), file, "other", func(why error) { complaints = append(complaints, why.Error()) })
	if err != nil || done != (transfer.Imported{Jobs: 5, LeftOut: 5, Unranked: 3}) || !slices.Equal(complaints, want) {
		t.Errorf("%+v, %v, told\n%q, want\n%q", done, err, complaints, want)
	}
	d, err := disk.Open(disk.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var got []string
	err = d.Start(adopter(func(job *store.Job) {
		got = append(got, fmt.Sprintf("%s %s %d %s %d", job.Function, job.Unique, job.Priority, bytes.Join(job.Argument, nil), job.Due))
	}))
	all := []string{"f u 1 first 0", "f  1  0", "f u 1  0", "f u 1 12 9223372036000000000", "f u 2 last 9223372036000000000"}
	if err != nil || !slices.Equal(got, all) {
		t.Errorf("imported %q, want %q, %v", got, all, err)
	}
}
