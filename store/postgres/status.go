package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Cluster is what an operator sees of all brokers and of the database.
type Cluster struct {
	At       time.Time // when it was looked at
	Format   int       // version of the tables
	Brokers  []Broker
	Standbys []Standby     // of the database; without rights (pg_monitor) their names alone, or nothing
	Rule     string        // synchronous_standby_names; "" is a database that stands alone
	Snapshot time.Duration // age of the oldest transaction that keeps old rows from being removed, as far as rights let see
	Rows     int64         // jobs that are stored
	Oldest   time.Duration // since when the oldest of them is stored; 0 without any
	Dead     int64         // rows of job that are deleted and still take room
	Bytes    int64         // that the tables take
}

// Broker is one that has a place in the fence.
type Broker struct {
	Run      uint64 // that it began with
	Node     string
	Address  string
	Runs     int           // that it has, its own included
	Beats    int64         // so far
	Age      time.Duration // of the last beat, by the database's clock
	Released bool          // it has ended, and nobody has taken over yet
	Jobs     int64         // that it had at the last beat
}

// Standby is a copy of the database.
type Standby struct {
	Name, State, Sync string
	Behind            int64 // bytes of log that it has not put on its disk yet; -1: not known
}

const (
	// brokersSQL lists owners: the run that stands for one goes at its end when it has no jobs, and others may stay.
	brokersSQL = `select o.owner, coalesce(r.node, o.node), coalesce(r.address, ''), coalesce(b.n, 0), coalesce(b.released, true),
			coalesce(b.jobs, 0), coalesce(extract(epoch from now() - b.at), 0)::float8, o.runs
		from (select owner, min(node) as node, count(*) as runs from run group by owner) o
		left join run r on r.run = o.owner left join beat b on b.run = o.owner order by 2, 1`

	standbysSQL = `select coalesce(application_name, ''), coalesce(state, ''), coalesce(sync_state, ''),
		coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), flush_lsn), -1)::bigint from pg_stat_replication order by 1`

	healthSQL = `select current_setting('synchronous_standby_names'),
		coalesce((select extract(epoch from max(now() - xact_start)) from pg_stat_activity
			where backend_xmin is not null and pid <> pg_backend_pid()), 0)::float8,
		coalesce((select n_dead_tup from pg_stat_user_tables where relid = to_regclass('job')), 0)`

	rowsSQL = `select count(*), coalesce(extract(epoch from now() - min(since)), 0)::float8 from job`
)

// ClusterOf looks at the cluster. It counts all jobs, which takes a second per some million. Tables of another version
// than this program's are an error.
func ClusterOf(ctx context.Context, conn *pgx.Conn) (c Cluster, err error) {
	version, err := Version(ctx, conn)
	if err == nil && version > 0 {
		err = readable(version)
	}
	if err != nil {
		return c, err
	}
	if c, err = glance(ctx, conn); err == nil && c.Format > 0 {
		err = c.count(ctx, conn)
	}
	return c, err
}

// glance is ClusterOf without what takes longer the more jobs there are.
func glance(ctx context.Context, conn *pgx.Conn) (c Cluster, err error) {
	c.At = time.Now()
	if c.Format, err = Version(ctx, conn); err != nil || c.Format == 0 {
		return c, err
	}
	rows, err := conn.Query(ctx, brokersSQL)
	if err != nil {
		return c, err
	}
	var b Broker
	var run int64
	var age float64
	_, err = pgx.ForEachRow(rows, []any{&run, &b.Node, &b.Address, &b.Beats, &b.Released, &b.Jobs, &age, &b.Runs}, func() error {
		b.Run, b.Age = uint64(run), seconds(age)
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
	if err = conn.QueryRow(ctx, healthSQL).Scan(&c.Rule, &age, &c.Dead); err != nil {
		return c, err
	}
	c.Rule, c.Snapshot = strings.TrimSpace(c.Rule), seconds(age)
	err = conn.QueryRow(ctx, sizeSQL).Scan(&c.Bytes)
	return c, err
}

func (c *Cluster) count(ctx context.Context, conn *pgx.Conn) error {
	var age float64
	err := conn.QueryRow(ctx, rowsSQL).Scan(&c.Rows, &age)
	c.Oldest = seconds(age)
	return err
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
