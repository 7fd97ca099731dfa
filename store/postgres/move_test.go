package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"gearloop/store"
	"gearloop/store/disk"
	"gearloop/store/transfer"
	"gearloop/test/await"
)

// connected returns a connection as commands have it.
func connected(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), await.Limit)
	defer cancel()
	conn, err := Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func exec(t *testing.T, conn *pgx.Conn, statement string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(context.Background(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func nobody(int, int) {}

// patient has a broker take over only what is let go of.
func patient(o *Options) { o.Takeover = time.Hour }

// dumped returns what a database has.
func dumped(t *testing.T, url string) string {
	t.Helper()
	var text strings.Builder
	if err := Dump(context.Background(), connected(t, url), &text, nobody); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func dumpedDirectory(t *testing.T, dir string) string {
	t.Helper()
	var text strings.Builder
	if err := disk.Dump(dir, &text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// checked returns what Check says of a database that must be sound.
func checked(t *testing.T, url string) Report {
	t.Helper()
	r, err := Check(context.Background(), connected(t, url), nobody)
	if err != nil || len(r.Damage) > 0 {
		t.Errorf("check: %v\n%s", err, strings.Join(r.Damage, "\n"))
	}
	return r
}

func mustImport(t *testing.T, text string, im transfer.Importer, err error) transfer.Imported {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	done, err := transfer.Import(strings.NewReader(text), im, func(why error) { t.Error(why) })
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// receipts count.
type receipts sync.WaitGroup

func (r *receipts) Stored(store.Ref, error) { (*sync.WaitGroup)(r).Done() }

// everyKind are jobs of every kind that can be stored, some of each. The largest arguments have large bytes and less.
func everyKind(large int) (jobs []store.Job) {
	text := []byte("text \" with \\ all\nthat <JSON> & escapes \u2028 \x01 𝄞")
	arguments := [][]byte{
		nil, text, {0, 0xff, 0xfe}, bytes.Repeat(text, store.LargeArgument/len(text)), bytes.Repeat(text, store.LargeArgument/len(text)+1),
		append(bytes.Repeat(text, store.LargeArgument/len(text)+1), 0xff),
		bytes.Repeat(text, large/len(text)), bytes.Repeat([]byte{0x80}, large*3/5),
	}
	for i, argument := range arguments {
		jobs = append(jobs, store.Job{Function: "resize", Priority: store.Normal, Unique: fmt.Sprint("u", i), Argument: [][]byte{argument}})
	}
	for _, priority := range []store.Priority{store.High, store.Normal, store.Low} {
		jobs = append(jobs, store.Job{Function: "f\xff\x01", Priority: priority, Argument: [][]byte{text}})
	}
	for _, due := range []int64{1, 1_700_000_000_123_456_789, store.LatestDue * 1e9} {
		jobs = append(jobs, store.Job{Function: "later", Priority: store.Low, Due: due, Argument: [][]byte{text}})
	}
	for _, retries := range []uint16{1, 40_000, 65_535} {
		jobs = append(jobs, store.Job{Function: "again", Priority: store.Normal, Retries: retries, Argument: [][]byte{text}})
	}
	for _, unique := range []string{"", "u0", "a\x00\xfe", "\x00-key", strings.Repeat("u", 60_000)} {
		jobs = append(jobs, store.Job{Function: "unique", Priority: store.Normal, Unique: unique, Argument: [][]byte{text}})
	}
	for _, reducer := range []string{"sum", "\x80"} {
		jobs = append(jobs, store.Job{Function: "map", Priority: store.Normal, Reducer: reducer, Argument: [][]byte{text}})
	}
	return jobs
}

// fill stores jobs of every kind in a directory, some in each of several runs.
func fill(t *testing.T, dir string) (count int) {
	t.Helper()
	for _, large := range []int{4<<20 + 100, 512 << 10} { // the first one is larger than a batch, or what is read at once
		d, err := disk.Open(disk.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Start(store.NoEvents{}); err != nil {
			t.Fatal(err)
		}
		if count == 0 {
			if err := d.SaveSettings([]byte(`{"format":1,"functions":[{"function":"cmVzaXpl","paused":{"by":"anna"}}]}`)); err != nil {
				t.Fatal(err)
			}
		}
		var came sync.WaitGroup
		for i, job := range everyKind(large) {
			if job.Number = store.Number(d.Run(), uint64(i), store.ShardOf(job.Function)); job.Unique != "" {
				job.Unique += fmt.Sprint(" of run ", d.Run())
			}
			came.Add(1)
			if _, err := d.Append(&job, (*receipts)(&came)); err != nil {
				t.Fatal(err)
			}
			count++
		}
		came.Wait()
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return count
}

func sortedLines(text string) []string { return slices.Sorted(strings.Lines(text)) }

// Jobs of every kind, and the settings of functions, go from a directory to a database, to another database and back to a
// directory, and are the same bytes everywhere. Twice the same is refused.
func TestThereAndBack(t *testing.T) {
	server := shared(t)
	first, second := server.URL(server.Schema(t)), server.URL(server.Schema(t))
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	count := fill(t, from)
	original := dumpedDirectory(t, from)
	want := transfer.Imported{Jobs: count, Settings: true}

	im, err := NewImporter(first, nil)
	if done := mustImport(t, original, im, err); done != want {
		t.Errorf("into the database: %+v, want %+v", done, want)
	}
	there := dumped(t, first)
	if !slices.Equal(sortedLines(there), sortedLines(original)) {
		t.Error("the database has not what the directory had")
	}
	if !strings.HasPrefix(there, `{"settings":{"format":1,`) {
		t.Errorf("no settings come first: %.100s", there)
	}
	r := checked(t, first)
	if r.Jobs != int64(count) || r.Large != 4*2 || r.Same != 0 || r.Orphans != 0 || len(r.Runs) != 2 {
		t.Errorf("checked: %+v", r)
	}

	if c, err := ClusterOf(context.Background(), connected(t, first)); err != nil || len(c.Brokers) != 1 || !c.Brokers[0].Released ||
		c.Brokers[0].Node != "import" || c.Brokers[0].Runs != 2 {
		t.Errorf("jobs without a broker are not seen: %+v, %v", c.Brokers, err)
	}

	im, err = NewImporter(second, nil)
	if done := mustImport(t, there, im, err); done != want {
		t.Errorf("into another database: %+v, want %+v", done, want)
	}
	if again := dumped(t, second); again != there {
		t.Error("the second database has not what the first has")
	}
	back, err := disk.NewImporter(to, nil)
	if done := mustImport(t, there, back, err); done != want {
		t.Errorf("back into a directory: %+v, want %+v", done, want)
	}
	if again := dumpedDirectory(t, to); again != there {
		t.Error("the new directory has not what the database has")
	}

	im, err = NewImporter(second, nil)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	done, err := transfer.Import(strings.NewReader(there), im, func(error) { refused++ })
	if err != nil || done != (transfer.Imported{LeftOut: count + 1}) || refused != count+1 {
		t.Errorf("imported twice: %+v, %d refused, %v", done, refused, err)
	}
	if again := dumped(t, second); again != there {
		t.Error("a second import changed something")
	}

	// A broker takes all of it over, with the settings that are no other node's.
	b := start(t, second, nil)
	await.Until(t, "the broker has all jobs", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.mine) == count
	})
	if settings, err := b.LoadSettings(); err != nil || !strings.Contains(string(settings), "anna") {
		t.Errorf("settings are %s, %v", settings, err)
	}
	if err := b.SaveSettings([]byte(`{"own":1}`)); err != nil {
		t.Fatal(err)
	}
	if settings, err := b.LoadSettings(); err != nil || string(settings) != `{"own":1}` {
		t.Errorf("its own settings are %s, %v", settings, err)
	}
	if text := dumped(t, second); !strings.Contains(text, `{"settings":{"own":1},"node":"node"}`+"\n") {
		t.Errorf("dumped is %.300s", text)
	}
}

// An import beside a broker that lives: numbers and unique ids of its jobs are refused with their lines, numbers of its
// runs are given anew, and it has all others soon after the end.
func TestImportBesideBroker(t *testing.T) {
	server := shared(t)
	url := server.URL(server.Schema(t))
	b := start(t, url, patient)
	plain, unique := b.mustSubmit("f", ""), b.mustSubmit("f", "u")
	shard := store.ShardOf("f")
	lines := []string{
		`{"function":"f","argument":"0"}`,
		`{"function":"f","argument":"1","unique":"u"}`, // which the broker's job has
		fmt.Sprintf(`{"function":"f","argument":"2","number":"%d"}`, plain),
		fmt.Sprintf(`{"function":"f","argument":"3","number":"%d"}`, store.Number(b.run, 1<<20, shard)),
		fmt.Sprintf(`{"function":"f","argument":"4","number":"%d"}`, store.Number(5, 3, shard)),
		fmt.Sprintf(`{"function":"f","argument":"5","number":"%d"}`, store.Number(5, 3, shard)),              // twice
		fmt.Sprintf(`{"function":"g","argument":"6","number":"%d"}`, store.Number(5, 4, shard)),              // of another shard
		fmt.Sprintf(`{"function":"f","argument":"7","number":"%d"}`, store.Number(0, 4, shard)),              // of no run
		fmt.Sprintf(`{"function":"f","argument":"8","number":"%d"}`, store.Number(store.MaxRun-5, 4, shard)), // too high
		`{"function":"f","argument":"9","unique":"twice"}`, `{"function":"f","argument":"10","unique":"twice"}`,
		`{"function":"refused"}`,
		`{"settings":{"a":1},"node":"node"}`, `{"settings":{"a":2},"node":"node"}`,
		`{"function":"f","argument":"11","number":"` + fmt.Sprint(store.Number(b.run+1000, 3, shard)) + `"}`, // of a run to come
	}
	im, err := NewImporter(url, func(job *store.Job) error {
		if job.Function == "refused" {
			return errors.New("function is refused")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var complaints []string
	done, err := transfer.Import(strings.NewReader(strings.Join(lines, "\n")), im, func(why error) { complaints = append(complaints, why.Error()) })
	if want := (transfer.Imported{Jobs: 8, LeftOut: 6, GivenAnew: 4, Settings: true}); err != nil || done != want {
		t.Errorf("%+v, %v, want %+v", done, err, want)
	}
	slices.Sort(complaints)
	want := []string{
		fmt.Sprintf("line 11: unique: job %d with the same unique id is there already", store.Number(im.own, 5, shard)), // that of line 10
		"line 12: function is refused",
		`line 14: settings: the database has some of node "node"`,
		fmt.Sprintf("line 2: unique: job %d with the same unique id is there already", unique),
		fmt.Sprintf("line 3: number: a job with the number %d is there already (--new-handles gives it another one)", plain),
		fmt.Sprintf("line 6: number: a job with the number %d is there already (--new-handles gives it another one)", store.Number(5, 3, shard)),
	}
	if !slices.Equal(complaints, want) {
		t.Errorf("told %q\nwant %q", complaints, want)
	}
	await.Until(t, "the broker has all jobs", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.mine) == 2+done.Jobs
	})
	if !b.owns(store.Number(5, 3, shard)) || !b.owns(store.Number(b.run+1000, 3, shard)) {
		t.Error("jobs have lost their handles")
	}
	exec(t, connected(t, url), `insert into job (handle, due, prio, retries, fn, uniq, reducer, size, data)
		values ($1, 0, 1, 0, 'f', 'twice', '', 1, 'x')`, int64(store.Number(b.run+1000, 4, shard))) // without a key
	if r := checked(t, url); r.Jobs != int64(3+done.Jobs) || r.Same != 1 || r.LastRun < b.run+1000 {
		t.Errorf("%+v", r)
	}
	late := start(t, url, patient)
	if late.run <= b.run+1000 {
		t.Errorf("a broker that starts now opens run %d: handles of an imported run may be given out again", late.run)
	}
	b.mustSubmit("f", "another") // it is not disturbed
}

// An import whose jobs were taken over, because it was frozen, ends with an error; what it had stored is the other's, and
// nothing comes after it that nobody has.
func TestImportDisowned(t *testing.T) {
	server := shared(t)
	url := server.URL(server.Schema(t))
	b := start(t, url, patient)
	im, err := NewImporter(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	shard, n := store.ShardOf("f"), uint64(0)
	var text io.Reader = readerFunc(func(p []byte) (int, error) {
		if n++; n == 2000 {
			conn := connected(t, url)
			await.Until(t, "the first job is stored", func() bool {
				stored, _ := im.flow.Added()
				return stored > 0
			})
			exec(t, conn, `update run set owner = $1 where owner = $2`, int64(b.run), int64(im.own))
			exec(t, conn, `delete from beat where run = $1`, int64(im.own))
			await.Until(t, "the broker has the import's run", func() bool { return b.owns(store.Number(5, 1, shard)) })
		}
		if n == 4000 {
			return 0, io.EOF
		}
		return copy(p, fmt.Sprintf(`{"function":"f","number":"%d"}`+"\n", store.Number(5, n, shard))), nil
	})
	done, err := transfer.Import(text, im, func(why error) { t.Error(why) })
	if err == nil || !errors.Is(err, errFenced) || done.Jobs < 1 {
		t.Errorf("%+v, %v", done, err)
	}
	await.Until(t, "the broker has what was imported", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.mine) >= done.Jobs
	})
	r := checked(t, url)
	b.mu.Lock()
	defer b.mu.Unlock()
	if int(r.Jobs) != len(b.mine) {
		t.Errorf("%d jobs are stored, the broker has %d", r.Jobs, len(b.mine))
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// A dump shows one moment, whatever is changed while it is read, and survives that its reader rests.
func TestDumpIsASnapshot(t *testing.T) {
	server := shared(t)
	url := server.URL(server.Schema(t))
	im, err := NewImporter(url, nil)
	count := 3*store.AdoptMost + 7
	large := `{"function":"large","argument":"` + strings.Repeat("x", 3<<20) + `"}` + "\n"
	mustImport(t, strings.Repeat(`{"function":"f"}`+"\n", count)+large, im, err)
	before, other := dumped(t, url), connected(t, url)
	var text strings.Builder
	calls := 0
	err = Dump(context.Background(), connected(t, url), &text, func(jobs, bytes int) {
		if calls++; calls == 1 {
			exec(t, other, `delete from job`)
			exec(t, other, `delete from arg`)
			exec(t, other, `insert into setting values ('late', '{}')`)
		}
	})
	if err != nil || calls < 4 || text.String() != before {
		t.Errorf("%v, %d calls, %d bytes, before %d", err, calls, text.Len(), len(before))
	}
	if after := dumped(t, url); after != `{"settings":{},"node":"late"}`+"\n" {
		t.Errorf("afterwards: %.200s", after)
	}
}

// Check finds what the tables can hold and brokers never write, and Dump writes all the rest.
func TestCheckFindsDamage(t *testing.T) {
	server := shared(t)
	schema := server.Schema(t)
	url := server.URL(schema)
	b := start(t, url, nil)
	var numbers []uint64
	for n := range 30 {
		numbers = append(numbers, b.mustSubmit("f", fmt.Sprint("u", n)))
	}
	argument := [][]byte{bytes.Repeat([]byte("x"), 3<<20)}
	var came sync.WaitGroup
	came.Add(1)
	large := store.Number(b.run, 1000, store.ShardOf("f"))
	if _, err := b.Append(&store.Job{Number: large, Function: "f", Argument: argument}, (*receipts)(&came)); err != nil {
		t.Fatal(err)
	}
	came.Wait()
	sound := checked(t, url)
	if sound.Jobs != 31 || sound.Large != 1 || len(sound.Runs) != 1 || sound.Runs[0].Jobs != 31 || sound.Runs[0].Node != "node" {
		t.Errorf("%+v", sound)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if r := checked(t, url); !r.Runs[0].Released {
		t.Errorf("nothing is released: %+v", r.Runs)
	}
	run := int64(b.run)
	for _, c := range []struct {
		change string
		args   []any
		want   string
		lost   int // jobs that a dump leaves out
	}{
		{`update run set run = run - 1`, nil, fmt.Sprintf("run %d: no broker has this run, so its jobs (31) are never handed out", run), 0},
		{`delete from beat`, nil, fmt.Sprintf("run %d: it belongs to run %d, which has no beat, so no broker takes over its jobs (31)", run, run), 0},
		{`update meta set last_run = 3`, nil, fmt.Sprintf("run %d: the last run is said to be 3, so its handles may be given out again", run), 0},
		{`delete from arg where part = 1`, nil, fmt.Sprintf("job %d: missing pieces of its argument: 1", large), 1},
		{`delete from arg where part = 2`, nil, fmt.Sprintf("job %d: its argument has %d bytes instead of %d", large, 2<<20, 3<<20), 1},
		{`update arg set data = data || '\x00' where part = 2`, nil, fmt.Sprintf("job %d: its argument has %d bytes instead of %d", large, 3<<20+1, 3<<20), 1},
		{`update job set data = '\x', size = 1 where handle = $1`, []any{int64(numbers[3])}, fmt.Sprintf("job %d: its argument has 0 bytes instead of 1", numbers[3]), 0},
		{`update job set prio = 7 where handle = $1`, []any{int64(numbers[3])}, fmt.Sprintf("job %d: its priority is 7", numbers[3]), 0},
		{`update job set fn = 'other' where handle = $1`, []any{int64(numbers[3])},
			fmt.Sprintf("job %d of function \"other\": its number is of shard %d, the function's is %d, so its handle leads nowhere",
				numbers[3], store.ShardOf("f"), store.ShardOf("other")), 0},
		{`update job set uniq = 'u4' where handle = $1`, []any{int64(numbers[3])},
			fmt.Sprintf("job %d: its key is not that of its function \"f\" and unique id \"u4\", so a second job may have these", numbers[3]), 0},
		{`insert into arg values (77, 0, 'x')`, nil, "arguments that have neither a job nor a run, so nobody removes them: 1", 0},
		{`update job set handle = -handle where handle = $1`, []any{int64(numbers[3])}, fmt.Sprintf("job -%d: no job can have this number", numbers[3]), 0},
		{`update job set prio = 9`, nil, "11 more: priorities that are none", 0},
	} {
		changed := (&site{tb: t, server: server, schema: schema}).Crash(true).(*site)
		url := server.URL(changed.schema)
		exec(t, connected(t, url), c.change, c.args...)
		r, err := Check(context.Background(), connected(t, url), nobody)
		if err != nil || !slices.Contains(r.Damage, c.want) {
			t.Errorf("%s: %v, %q, want %q", c.change, err, r.Damage, c.want)
		}
		var text strings.Builder
		if err := Dump(context.Background(), connected(t, url), &text, nobody); errors.Is(err, store.ErrDamaged) != (c.lost > 0) {
			t.Errorf("%s: dumping it: %v", c.change, err)
		}
		if lines := strings.Count(text.String(), "\n"); lines != 31-c.lost {
			t.Errorf("%s: %d jobs are dumped, %d are lost", c.change, lines, c.lost)
		}
	}
}
