package main

import (
	"fmt"
	"strings"

	"gearloop/bench"
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
			fmt.Fprintf(&out, " %s | %s | %s; %s |", bench.Whole(f.PerSecond), bench.Figure(f.CPU), bench.Whole(f.P50), bench.Whole(f.P99))
		}
		memory := ""
		if r.jobs > 0 {
			memory = bench.Whole(r.perQueued())
			if r.jobs < fill {
				memory += fmt.Sprintf(" (of %s)", bench.Whole(float64(r.jobs)))
			}
		}
		fmt.Fprintf(&out, " %s | %s |\n", memory, r.row.note)
	}
	return out.String()
}
