package main

import (
	"fmt"
	"strings"
)

// heads are the sections of the table, with what their last column says.
var heads = map[section]string{
	inMemory: "**background jobs in memory** | | | | | | | | **what it does not do**",
	durable:  "**durable background jobs** | | | | | | | | **setting, and what a loss of power loses**",
	request:  "**request and result** | | | | | | | | **how**",
}

// markdown returns the table. How many jobs were queued is said where it was not all that were asked for.
func markdown(results []*result, fill int) string {
	var out strings.Builder
	out.WriteString("| | 4 × 64: jobs/s | CPU µs/job | p50; p99, µs | 1 × 1: jobs/s | CPU µs/job | p50; p99, µs | memory/queued job, B | |\n")
	out.WriteString("|---|--:|--:|--:|--:|--:|--:|--:|---|\n")
	last := section(-1)
	for _, r := range results {
		if r.row.section != last {
			last = r.row.section
			fmt.Fprintf(&out, "| %s |\n", heads[last])
		}
		fmt.Fprintf(&out, "| %s |", r.row.title)
		for _, s := range shapes {
			f := medians(r.turns[s])
			fmt.Fprintf(&out, " %s | %s | %s; %s |", thousands(f.PerSecond), number(f.CPU), thousands(f.P50), thousands(f.P99))
		}
		memory := ""
		if r.jobs > 0 {
			memory = thousands(r.perQueued())
			if r.jobs < fill {
				memory += fmt.Sprintf(" (of %s)", thousands(float64(r.jobs)))
			}
		}
		fmt.Fprintf(&out, " %s | %s |\n", memory, r.row.note)
	}
	return out.String()
}

// number formats a figure with three digits, or with all before the point.
func number(v float64) string {
	switch {
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return thousands(v)
}

// thousands returns a whole number with commas.
func thousands(v float64) string {
	digits := fmt.Sprintf("%.0f", v)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
