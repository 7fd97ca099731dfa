// Package wire is a Gearman client and worker for tests, at the level of single
// packets: what is sent and what has to come back is written out, nothing is
// done behind the test's back.
//
// Whatever goes wrong fails the test at once. Reads give up after Limit, so a test
// that waits for a packet that never comes ends with a message, not with a hang.
package wire
