// Package admin answers the text commands that operators and monitors send: on the same port as the
// packets, a line at a time.
//
// It looks at the scheduler through its snapshots and writes what it saw in the form of the
// dialect. It holds no lock while it writes. What a command wants done to the server itself
// (shutdown) it returns as an Action.
package admin
