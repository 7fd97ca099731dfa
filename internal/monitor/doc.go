// Package monitor shows a Gearman server in a terminal: tables of functions, workers and jobs, a check for
// monitoring systems, and a screen that refreshes itself (Top).
//
// It reads from a Source. Text uses the text protocol of any Gearman server; API uses a Gearloop's /api/v1
// and knows more. Tables omit what a source does not know; they do not show it as zero.
//
// Files: source.go, text.go and api.go (where the numbers come from), totals.go, table.go and json.go (tables
// and their columns), check.go, screen.go and rows.go (the screen), top.go (the terminal).
package monitor
