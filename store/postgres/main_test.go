package postgres

import (
	"os"
	"sync"
	"testing"

	"gearloop/test/pgtest"
)

// common is one server for all tests that do nothing to a server itself: each has a schema. To make and to start a server
// takes as long as most tests.
var common struct {
	once   sync.Once
	server *pgtest.Server
	err    error
}

// extent returns usual, or long with GEARLOOP_CLUSTER=long (make cluster-test), for a test that repeats something.
func extent(usual, long int) int {
	if os.Getenv("GEARLOOP_CLUSTER") == "long" {
		return long
	}
	return usual
}

func TestMain(m *testing.M) {
	code := m.Run()
	if common.server != nil {
		common.server.End()
	}
	os.Exit(code)
}

// shared returns the common server.
func shared(tb testing.TB) *pgtest.Server {
	tb.Helper()
	common.once.Do(func() { common.server, common.err = pgtest.Launch(pgtest.Options{}) })
	if common.err != nil {
		tb.Fatal(common.err)
	}
	return common.server
}
