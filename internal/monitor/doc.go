// Package monitor shows a Gearman server in a terminal: tables of functions, workers and jobs, a check for
// monitoring systems, and a screen that refreshes itself (Top).
//
// It reads from a Source. Text uses the text protocol of any Gearman server; API uses a Gearloop's /api/v1
// and knows more. Tables omit what a source does not know; they do not show it as zero.
//
// Files: source.go and text.go, api.go (where the numbers come from), table.go (columns), check.go, screen.go
// and top.go (the screen).
package monitor
