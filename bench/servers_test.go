package bench

import (
	"errors"
	"testing"

	"gearloop/internal/rounds"
)

// startServer starts a server for a test or benchmark, at whose end it is stopped. Where a reference server
// is not installed it skips.
func startServer(tb testing.TB, name string) rounds.Server {
	tb.Helper()
	host, err := NewHost()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(host.Close)
	s, err := host.Start(name)
	if errors.Is(err, ErrMissing) {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return s
}
