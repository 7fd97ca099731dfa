// Package pgtest starts PostgreSQL servers of the machine's own package: single ones, a primary with two synchronous
// standbys, and the same under Patroni. Each server has a directory and a port of its own, and ends with the test, or with
// the program that launched it, however that ends.
//
// Functions that take a testing.TB are for tests. Those that return an error also serve programs that measure or
// show a cluster.
package pgtest
