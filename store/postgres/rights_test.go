package postgres

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"gearloop/store"
	"gearloop/test/await"
	"gearloop/test/pgtest"
)

// The statements of docs/cluster.md give the command that makes the tables, and brokers, the rights that they need: no
// right is missing, and brokers have none to change tables.
func TestRights(t *testing.T) {
	page, err := os.ReadFile("../../docs/cluster.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(page), "### Roles and rights\n")
	if !ok {
		t.Fatal("the page has no section about roles")
	}
	section, _, _ = strings.Cut(section, "\n#")
	var statements []string
	for line := range strings.Lines(section) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "CREATE ") || strings.HasPrefix(line, "GRANT ") {
			// The server of tests has a superuser of the name.
			line = strings.Replace(line, "ROLE gearloop ", "ROLE broker ", 1)
			statements = append(statements, strings.Replace(line, "TO gearloop;", "TO broker;", 1))
		}
	}
	server := pgtest.Start(t)
	ctx := context.Background()
	url := func(role string) string {
		return fmt.Sprintf("postgres://%s@127.0.0.1:%d/gearloop?sslmode=disable", role, server.Port)
	}
	execute := func(role, statement string) error {
		at := url(role)
		if strings.HasPrefix(statement, "CREATE") {
			at = server.URL("")
		}
		conn, err := pgx.Connect(ctx, at)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, statement)
		return err
	}
	tablesMade := false
	for _, statement := range statements {
		if strings.Contains(statement, " ON run") {
			// Without the tables a broker that may not make them says so, and likewise before it may use them.
			for range 2 {
				if e, err := Open(quick(url("broker"))); err != nil {
					t.Fatal(err)
				} else if err := e.Start(store.NoEvents{}); err == nil || !strings.Contains(err.Error(), "permission denied") {
					t.Fatalf("a broker without rights starts: %v", err)
				}
				if tablesMade {
					continue
				}
				conn, err := Connect(ctx, url("gearloop_admin"))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := Init(ctx, conn); err != nil {
					t.Fatal(err)
				}
				conn.Close(ctx)
				tablesMade = true
			}
		}
		if err := execute("gearloop", statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if !tablesMade {
		t.Fatalf("the page grants no rights on tables: %q", statements)
	}

	a := start(t, url("broker"), func(o *Options) { o.Takeover = time.Hour })
	number := a.mustSubmit("f", "u")
	a.Update(store.Ref(number), 3, store.Normal)
	large := store.Job{Number: store.Number(a.Run(), 1<<20, store.ShardOf("f")), Function: "f", Argument: [][]byte{make([]byte, testLarge)}}
	came := make(chan error, 1)
	ref, err := a.Append(&large, told{a, large.Number, came})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-came; err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	a.Argument(ref, &strings.Builder{}, func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := a.SaveSettings([]byte("{}")); err != nil {
		t.Error(err)
	}
	if _, err := a.LoadSettings(); err != nil {
		t.Error(err)
	}
	a.NewRun()
	await.Until(t, "another run is opened", func() bool { return a.Run() > store.RunOf(number) })
	b := start(t, url("broker"), nil)
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	await.Until(t, "another broker has adopted the jobs", func() bool { return b.owns(number) && b.owns(large.Number) })
	b.Done(store.Ref(number))
	b.Done(ref)
	pool, err := b.readers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the run without jobs is removed", func() bool {
		var runs int
		return pool.QueryRow(ctx, "select count(*) from run").Scan(&runs) == nil && runs == 1
	})
	if c, err := b.Cluster(ctx); err != nil || len(c.Brokers) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	if err := execute("broker", "alter table job add column more int"); err == nil {
		t.Error("a broker may change tables")
	}
}

// Tables of an older version are brought to this one, by one of several brokers that come at the same time; those of a newer
// version are refused and left alone.
func TestVersions(t *testing.T) {
	server := shared(t)
	schema := server.Schema(t)
	url := server.URL(schema)
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	old, err := os.ReadFile("testdata/version1.sql")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(ctx, string(old), pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	if v, err := Version(ctx, conn); err != nil || v != 1 {
		t.Fatalf("version %d, %v", v, err)
	}
	results := make(chan error, 4)
	for range cap(results) {
		go func() {
			c, err := pgx.Connect(ctx, url)
			if err == nil {
				_, err = Init(ctx, c)
				c.Close(ctx)
			}
			results <- err
		}()
	}
	for range cap(results) {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if v, err := Version(ctx, conn); err != nil || v != Format {
		t.Fatalf("version %d, %v", v, err)
	}
	b := start(t, url, nil)
	b.mustSubmit("f", "")
	const mail, large = 275767686728777788, 275767686728777822
	await.Until(t, "the old jobs are adopted", func() bool { return b.owns(mail) && b.owns(large) })
	var argument strings.Builder
	done := make(chan error, 1)
	b.Argument(store.Ref(large), &argument, func(err error) { done <- err })
	if err := <-done; err != nil || argument.String() != strings.Repeat("x", 300_000) {
		t.Errorf("an old argument has %d bytes, %v", argument.Len(), err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(ctx, "update meta set format = $1", Format+1); err != nil {
		t.Fatal(err)
	}
	e, err := Open(quick(url))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(store.NoEvents{}); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("version %d", Format+1)) {
		t.Errorf("tables of a newer version: %v", err)
	}
	if v, err := Version(ctx, conn); err != nil || v != Format+1 {
		t.Errorf("version %d, %v", v, err)
	}
}
