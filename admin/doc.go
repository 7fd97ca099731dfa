// Package admin answers the text commands that operators and monitors send, one line each, on the port of the
// packets.
//
// Both dialects have all commands; the dialect decides on the form of the answers. A command that lists
// functions, jobs or connections answers with a Table. Its rows are produced in steps from the scheduler's
// walks, and no lock is held while they are written. A command that changes something has done so when
// Execute returns, even if tables are still being read. A command for the server itself (shutdown) returns an
// Action.
//
// # Files
//
//	admin.go    the commands
//	rights.go   who may send those that change something
//	tables.go   commands that list
//	table.go    how long answers are produced
//	names.go    names in tables
//	changes.go  commands that change jobs and functions
//	brokers.go  other brokers of the same store
package admin
