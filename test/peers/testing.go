package peers

import "testing"

// Start starts a server of the given kind with further arguments, waits until it listens, and ends it with
// the test. Any failure fails the test.
func Start(tb testing.TB, kind Kind, args ...string) *Server {
	tb.Helper()
	return StartWith(tb, kind, Options{Args: args})
}

// StartWith is Start with all options.
func StartWith(tb testing.TB, kind Kind, opts Options) *Server {
	tb.Helper()
	s, err := Launch(kind, opts)
	if err != nil {
		tb.Fatal(err)
	}
	s.tb = tb
	tb.Cleanup(s.Stop)
	return s
}

// Stop is End for a server of a test, which fails on an error.
func (s *Server) Stop() {
	if err := s.End(); err != nil {
		s.tb.Error(err)
	}
}

// Binary is Build for a test.
func Binary(tb testing.TB) string {
	tb.Helper()
	program, err := Build()
	if err != nil {
		tb.Fatalf("peers: %v", err)
	}
	return program
}
