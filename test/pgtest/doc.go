// Package pgtest starts PostgreSQL servers of the machine's own package, for tests. Each is in a directory of its own, is
// reached over a port of its own, and ends with the test.
package pgtest
