// Package admin answers the text commands that operators and monitors send: on the same port as the
// packets, a line at a time.
//
// Both dialects have all commands; the dialect decides on the form of the answers. Files: admin.go (the
// commands), rights.go (who may send those that change something), tables.go (what looks), table.go (how long
// answers are produced), names.go (what names look like in tables), changes.go (what changes jobs and functions).
//
// A command that looks at everything there is answers with a Table: its rows are produced by and by from the
// scheduler's walks, in the form of the dialect, with no lock held while they are written. Commands
// that change something have done so when Execute returns, whatever tables are still being read.
// What a command wants done to the server itself (shutdown) is returned as an Action.
package admin
