// Package clienttest runs the clients and workers that people have, unchanged
// and from their packages, against a job server: Perl's Gearman::Client and
// Gearman::Worker, the programs gearman and gearadmin, PHP's extension, three
// npm libraries and the Go library g2, whose client and worker are a fork of
// mikespook/gearman-go.
//
// Every language brings one worker program and one client program, kept under
// testdata (for Go under goclients, a module of its own). The worker programs
// all offer the same functions, so that any client can be paired with any
// worker:
//
//	echo      returns its argument
//	reverse   returns its argument, the bytes in reverse order
//	digest    returns the MD5 sum of its argument in hexadecimal
//	note      prints "note ARG" on the worker's standard output, returns "noted ARG"
//	hold      reads the named pipe ARG until its end and returns what it read
//	steps     reports the status 1/3, 2/3, 3/3 and returns "stepped"
//	progress  reports the status 3/7, then does what hold does
//	fail      fails
//	throw     reports the exception "thrown ARG", then fails
//	flaky     fails the first ARG times it is called, then returns "worked"
//	chunks    sends the data "one", "two", "three" and returns "chunked"
//	careful   sends the warning "careful ARG" and returns "warned"
//
// A worker program is called with the server's host:port and the functions to
// register, in this order, each with an optional @SECONDS for its time-out. A
// client program is called with host:port, the name of a scenario and its
// arguments; it prints one line per thing it sees, which the tests compare.
//
// C is different: the program under testdata/libgearman is built against
// libgearman and has a case for each thing that applications do with the library,
// on the client's and the worker's side. What it observes stands in its directory
// facts; it was found out with gearmand and is expected of the dialect c.
//
// The server under test is Gearloop, in each of its dialects, unless
// GEARLOOP_CLIENTTEST_SERVER names one: gearloop (the dialect perl), gearloop-c (the
// dialect c), perl (Gearman::Server) or c (gearmand). What a server cannot do is
// left out of its run, and where the two reference servers disagree the tests expect
// what the server's side does.
package clienttest
