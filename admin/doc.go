// Package admin answers the text commands that operators and monitors send: on the same port as the
// packets, a line at a time.
//
// Both dialects have all commands; the dialect decides on the form of the answers. Files: admin.go (who
// may send what), tables.go (what looks), changes.go (what changes jobs and functions).
//
// It looks at the scheduler through its snapshots and writes what it saw in the form of the
// dialect. It holds no lock while it writes. What a command wants done to the server itself
// (shutdown) it returns as an Action.
package admin
