package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Cluster is what an operator sees of all brokers and of the database.
type Cluster struct {
	Format   int
	Brokers  []Broker
	Standbys []Standby
	Rule     string        // synchronous_standby_names; "" is a database that stands alone
	Snapshot time.Duration // age of the oldest transaction that keeps old rows from being removed
	Dead     int64         // rows of job that are removed and still take room
	Bytes    int64         // that the tables take
}

// Broker is one that has a place in the fence.
type Broker struct {
	Run      uint64 // that it began with
	Node     string
	Address  string
	Runs     int   // that it has, its own included
	Beats    int64 // so far
	Released bool  // it has ended, and nobody has taken over yet
	Jobs     int64
}

// Standby is a copy of the database.
type Standby struct {
	Name, State, Sync string
	Behind            int64 // bytes of log that it has not put on its disk yet
}

const (
	brokersSQL = `select r.run, r.node, r.address, coalesce(b.n, 0), coalesce(b.released, true),
			(select count(*) from run o where o.owner = r.run),
			(select count(*) from run o join job j on j.handle > o.run << 38 and j.handle <= (o.run + 1) << 38 where o.owner = r.run)
		from run r left join beat b on b.run = r.run
		where exists (select from run o where o.owner = r.run) order by r.node, r.run`

	standbysSQL = `select application_name, coalesce(state, ''), coalesce(sync_state, ''),
		coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), flush_lsn), -1)::bigint from pg_stat_replication order by 1`

	healthSQL = `select current_setting('synchronous_standby_names'),
		coalesce((select extract(epoch from max(now() - xact_start)) from pg_stat_activity where backend_xmin is not null), 0)::float8,
		coalesce((select n_dead_tup from pg_stat_user_tables where relid = to_regclass('job')), 0)`
)

// ClusterOf returns what is to be seen. It counts all jobs, which takes a second per some million.
func ClusterOf(ctx context.Context, conn *pgx.Conn) (c Cluster, err error) {
	if c.Format, err = Version(ctx, conn); err != nil || c.Format == 0 {
		return c, err
	}
	rows, err := conn.Query(ctx, brokersSQL)
	if err != nil {
		return c, err
	}
	var b Broker
	var run int64
	_, err = pgx.ForEachRow(rows, []any{&run, &b.Node, &b.Address, &b.Beats, &b.Released, &b.Runs, &b.Jobs}, func() error {
		b.Run = uint64(run)
		c.Brokers = append(c.Brokers, b)
		return nil
	})
	if err != nil {
		return c, err
	}
	if rows, err = conn.Query(ctx, standbysSQL); err != nil {
		return c, err
	}
	var s Standby
	_, err = pgx.ForEachRow(rows, []any{&s.Name, &s.State, &s.Sync, &s.Behind}, func() error {
		c.Standbys = append(c.Standbys, s)
		return nil
	})
	if err != nil {
		return c, err
	}
	var age float64
	if err = conn.QueryRow(ctx, healthSQL).Scan(&c.Rule, &age, &c.Dead); err != nil {
		return c, err
	}
	c.Snapshot = time.Duration(age * float64(time.Second))
	err = conn.QueryRow(ctx, sizeSQL).Scan(&c.Bytes)
	return c, err
}
