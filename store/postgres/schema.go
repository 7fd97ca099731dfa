package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"gearloop/store"
)

// Format is the version of the tables. A newer program that needs other tables raises it, and adds the statements that
// lead there to migrations; what an older one left is read for ever.
const Format = 2

// migrations[n] leads from version n to n+1.
var migrations = [Format]string{`
create table meta (
	one boolean primary key default true check (one),
	format int not null,
	last_run bigint not null
);
create table run (
	run bigint primary key,
	owner bigint not null,
	node text not null,
	address text not null
) with (fillfactor = 50);
create index run_owner on run (owner);
create table beat (
	run bigint primary key,
	n bigint not null,
	released boolean not null
) with (fillfactor = 50);
create table job (
	handle bigint primary key,
	key uuid,
	due bigint not null,
	prio smallint not null,
	retries smallint not null,
	fn bytea not null,
	uniq bytea not null,
	reducer bytea not null,
	size int not null,
	data bytea
) with (fillfactor = 90);
alter table job alter column data set storage external;
create unique index job_key on job (key) where key is not null;
create table arg (
	handle bigint,
	part int,
	data bytea not null,
	primary key (handle, part)
);
alter table arg alter column data set storage external;
create table setting (
	node text primary key,
	document bytea not null
);
insert into meta (format, last_run) values (0, 0);
`, `
alter table meta add column secret text not null default gen_random_uuid()::text || gen_random_uuid()::text;
alter table run add column began timestamptz not null default now();
alter table job add column since timestamptz not null default now();
alter table beat add column at timestamptz not null default now(), add column jobs bigint not null default 0;
`}

// Version returns the version of the tables in a database, 0 if there are none.
func Version(ctx context.Context, conn *pgx.Conn) (int, error) {
	var format int
	err := conn.QueryRow(ctx, "select format from meta").Scan(&format)
	if missing := (*pgconn.PgError)(nil); errors.As(err, &missing) && missing.Code == undefinedTable {
		return 0, nil
	}
	return format, err
}

// Init makes the tables, or brings those of an older version to this one. It returns the version that was there.
// Where they are up to date it changes nothing, and needs no right to.
func Init(ctx context.Context, conn *pgx.Conn) (before int, err error) {
	if before, err = Version(ctx, conn); err != nil || before == Format {
		return before, err
	}
	if before > Format {
		return before, newer(before)
	}
	if err = migrate(ctx, conn, before); err != nil {
		// Another broker may have done it meanwhile.
		if now, e := Version(ctx, conn); e == nil && now == Format {
			return now, nil
		}
	}
	return before, err
}

func newer(version int) error {
	return fmt.Errorf("%w: its tables have version %d, this program knows up to %d", store.ErrNewer, version, Format)
}

func migrate(ctx context.Context, conn *pgx.Conn, from int) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is left to roll back after the commit
	if from > 0 {
		// Whoever comes second waits here, and finds nothing left to do. A weaker lock would lead to a deadlock when both
		// change the table.
		if _, err := tx.Exec(ctx, "lock table meta in access exclusive mode"); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, "select format from meta").Scan(&from); err != nil {
			return err
		}
	}
	for v := from; v < Format; v++ {
		if _, err := tx.Exec(ctx, migrations[v], pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "update meta set format = $1", v+1); err != nil {
			return err
		}
	}
	return tx.Commit(ctx)
}

// undefinedTable is PostgreSQL's code for it.
const undefinedTable = "42P01"
