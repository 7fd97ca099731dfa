// Package peers starts the job servers that tests and benchmarks talk to: Gearloop itself, built from this
// tree, and the two reference servers from Debian's packages, the Perl Gearman::Server and the C gearmand.
//
// A server is started with [Start], listens on a free port of the loopback interface and ends with the test
// that started it, however the test ends. If a reference server is not installed the test fails and names its
// package: tests that compare with a reference are worthless when skipped.
//
// On Linux the servers die with the test process itself. For that one goroutine (its function is
// peers.spawnLoop) keeps an operating system thread for as long as the process lives; a test for leaked
// goroutines must ignore it.
package peers
