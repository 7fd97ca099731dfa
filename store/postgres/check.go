package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"gearloop/store"
)

// Report is the result of Check.
type Report struct {
	Format  int
	LastRun uint64 // that was given out
	Runs    []Run
	Jobs    int64
	Large   int64 // of these, with an argument in pieces
	Same    int64 // jobs without a key that have the unique id of another living job; no broker stores such
	Orphans int64 // arguments without a job, which go with their run
	Damage  []string
}

// Run is a line of the table of runs.
type Run struct {
	Run      uint64
	Node     string // of the broker that opened it
	Owner    uint64 // run that stands for the broker that has it
	Holder   string // that broker's node; "" if it is not known any more
	Released bool   // that broker has ended, and nobody has taken over yet
	Jobs     int64

	beats bool // the owner has a line in beat, so it is taken over when it dies
}

const (
	checkRunsSQL = `select r.run, r.node, r.owner, coalesce(o.node, ''), b.run is not null, coalesce(b.released, false)
		from run r left join run o on o.run = r.owner left join beat b on b.run = r.owner order by r.run`

	// checkJobsSQL reads no argument: only how long each is.
	checkJobsSQL = `select handle, key, prio, fn, uniq, octet_length(reducer), size, coalesce(octet_length(data), -1) from job`

	checkArgumentsSQL = `select j.handle, j.size, coalesce(sum(octet_length(a.data)), 0), count(a.part), coalesce(max(a.part), -1) + 1
		from job j left join arg a on a.handle = j.handle where j.data is null and j.size > 0 group by j.handle, j.size
		having coalesce(sum(octet_length(a.data)), 0) <> j.size or count(a.part) <> coalesce(max(a.part), -1) + 1 order by j.handle`

	checkOrphansSQL = `select count(*), count(*) filter (where not exists (select from run where run = (a.handle - 1) >> 38))
		from (select distinct handle from arg) a where not exists (select from job j where j.handle = a.handle)`

	// checkSameSQL: only jobs without a key can have the unique id of another one.
	checkSameSQL = `select coalesce(sum(n), 0)::bigint from (
			select count(*) - 1 as n from job where (fn, uniq) in (select fn, uniq from job where key is null and uniq <> '')
			group by fn, uniq) s`
)

// damages gathers damage by kind, some of each.
type damages struct {
	lines []string
	kinds map[string]int
}

func (d *damages) add(kind, format string, args ...any) {
	if d.kinds[kind]++; d.kinds[kind] <= damageMost {
		d.lines = append(d.lines, fmt.Sprintf(format, args...))
	}
}

func (d *damages) all() []string {
	for _, kind := range slices.Sorted(maps.Keys(d.kinds)) {
		if n := d.kinds[kind]; n > damageMost {
			d.lines = append(d.lines, fmt.Sprintf("%d more: %s", n-damageMost, kind))
		}
	}
	return d.lines
}

// Check reads a database while brokers use it. Damage is part of the report, not an error.
func Check(ctx context.Context, conn *pgx.Conn, progress Progress) (r Report, err error) {
	tx, err := snapshot(ctx, conn)
	if err != nil {
		return r, err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // it has changed nothing
	if err := tx.QueryRow(ctx, `select format, last_run from meta`).Scan(&r.Format, &r.LastRun); err != nil {
		return r, err
	}
	d := &damages{kinds: map[string]int{}}
	for _, part := range []func() error{
		func() error { return r.readRuns(ctx, tx) },
		func() error { return r.readJobs(ctx, tx, d, progress) },
		func() error { return r.readArguments(ctx, tx, d) },
		func() error { return tx.QueryRow(ctx, checkSameSQL).Scan(&r.Same) },
	} {
		if err := part(); err != nil {
			return r, err
		}
	}
	for _, run := range r.Runs {
		if !run.beats {
			d.add("runs that are taken over by no broker",
				"run %d: it belongs to run %d, which has no beat, so no broker takes over its jobs (%d)",
				run.Run, run.Owner, run.Jobs)
		}
		if run.Run > r.LastRun {
			d.add("runs that may be given out again",
				"run %d: the last run is said to be %d, so its handles may be given out again", run.Run, r.LastRun)
		}
	}
	r.Damage = d.all()
	return r, nil
}

func (r *Report) readRuns(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, checkRunsSQL)
	if err != nil {
		return err
	}
	var run Run
	_, err = pgx.ForEachRow(rows, []any{&run.Run, &run.Node, &run.Owner, &run.Holder, &run.beats, &run.Released}, func() error {
		r.Runs = append(r.Runs, run)
		return nil
	})
	return err
}

func (r *Report) readJobs(ctx context.Context, tx pgx.Tx, d *damages, progress Progress) error {
	rows, err := tx.Query(ctx, checkJobsSQL)
	if err != nil {
		return err
	}
	byRun, strays := map[uint64]*Run{}, map[uint64]int64{}
	for i := range r.Runs {
		byRun[r.Runs[i].Run] = &r.Runs[i]
	}
	var handle int64
	var key pgtype.UUID
	var prio int16
	var fn, uniq []byte
	var reducer, size, data int64
	_, err = pgx.ForEachRow(rows, []any{&handle, &key, &prio, &fn, &uniq, &reducer, &size, &data}, func() error {
		number := uint64(handle)
		if r.Jobs++; data < 0 && size > 0 {
			r.Large++
		}
		if r.Jobs%4096 == 0 {
			progress(4096, 0)
		}
		if run := byRun[store.RunOf(number)]; run != nil {
			run.Jobs++
		} else {
			strays[store.RunOf(number)]++
		}
		switch shard := store.ShardOf(fn); {
		case !store.Valid(number):
			d.add("numbers that no job can have", "job %d: no job can have this number", handle)
		case store.ShardOfNumber(number) != shard:
			d.add("numbers of another function",
				"job %d of function %q: its number is of shard %d, the function's is %d, so its handle leads nowhere",
				number, fn, store.ShardOfNumber(number), shard)
		}
		if prio < int16(store.High) || prio > int16(store.Low) {
			d.add("priorities that are none", "job %d: its priority is %d", number, prio)
		}
		if key.Valid && key != keyOf(string(fn), string(uniq)) {
			d.add("keys of another unique id",
				"job %d: its key is not that of its function %q and unique id %q, so a second job may have these",
				number, fn, uniq)
		}
		if data >= 0 && data != size {
			d.add("arguments of another length", "job %d: its argument has %d bytes instead of %d", number, data, size)
		}
		return nil
	})
	for _, run := range slices.Sorted(maps.Keys(strays)) {
		d.add("runs without a broker", "run %d: no broker has this run, so its jobs (%d) are never handed out", run, strays[run])
	}
	return err
}

func (r *Report) readArguments(ctx context.Context, tx pgx.Tx, d *damages) error {
	rows, err := tx.Query(ctx, checkArgumentsSQL)
	if err != nil {
		return err
	}
	var handle, size, there, parts, last int64
	_, err = pgx.ForEachRow(rows, []any{&handle, &size, &there, &parts, &last}, func() error {
		if parts < last {
			d.add("arguments with missing pieces", "job %d: missing pieces of its argument: %d", handle, last-parts)
		} else {
			d.add("arguments with missing pieces", "job %d: its argument has %d bytes instead of %d", handle, there, size)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var lost int64
	if err := tx.QueryRow(ctx, checkOrphansSQL).Scan(&r.Orphans, &lost); err != nil {
		return err
	}
	if r.Orphans -= lost; lost > 0 {
		d.add("arguments", "arguments that have neither a job nor a run, so nobody removes them: %d", lost)
	}
	return nil
}
