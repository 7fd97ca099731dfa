// Package monitor shows a Gearman server in a terminal: tables of functions, workers and jobs, a check for
// monitoring systems, and a screen that is refreshed (Top).
//
// It reads from a Source. Text speaks the text protocol of any Gearman server; API asks a Gearloop over
// /api/v1 and knows more. What a source does not know is left out of the tables, not shown as zero.
//
// Files: source.go and text.go, api.go (where the numbers come from), table.go (columns), check.go, screen.go
// and top.go (the screen).
package monitor
