// Package view gathers what an operator sees of a broker, as values of package api: for the API, the
// dashboard and the metrics.
//
// Everything comes from walks and snapshots, in the goroutine of who asks. A request has a budget (limits.go):
// what it could not look at within that is named by a cursor, never waited for. Lists in order are cut from a
// snapshot that requests share for a moment.
package view
