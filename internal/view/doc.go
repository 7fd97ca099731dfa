// Package view gathers what an operator sees of a broker, as values of package api, for the API, the
// dashboard and the metrics.
//
// Everything comes from walks and snapshots, in the caller's goroutine. A request has a budget (limits.go); a
// cursor names what was not examined within it. Ordered lists are cut from a snapshot that requests share for
// a moment.
package view
