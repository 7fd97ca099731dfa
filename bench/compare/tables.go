package main

import (
	"fmt"
	"strings"

	"gearloop/bench"
)

// titles are the servers' names in tables and plots.
var titles = map[string]string{
	"floor": "floor", "gearloop": "Gearloop", "gearloop-1": "Gearloop, 1 loop", "gearloop-2": "Gearloop, 2 loops", "gearloop-4": "Gearloop, 4 loops",
	"gearloop-c": "Gearloop, dialect c", "c": "C", "perl": "Perl",
}

func title(server string) string {
	if t, ok := titles[server]; ok {
		return t
	}
	return server
}

// markdown returns a table.
func markdown(rows [][]string) string {
	var s strings.Builder
	for i, row := range rows {
		fmt.Fprintf(&s, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			s.WriteString("|---" + strings.Repeat("|--:", len(row)-1) + "|\n")
		}
	}
	return s.String()
}

// servers returns the names of all servers, in order.
func (r *results) servers() []string {
	var names []string
	seen := map[string]bool{}
	for _, s := range r.Scenarios {
		for _, c := range s.Servers {
			if !seen[c.Server] {
				seen[c.Server] = true
				names = append(names, c.Server)
			}
		}
	}
	return names
}

// perScenario returns a table with a row for each scenario for which show returns something.
func (r *results) perScenario(show func(s *scenario, c *cell) string) string {
	rows := [][]string{{"scenario"}}
	for _, name := range r.servers() {
		rows[0] = append(rows[0], title(name))
	}
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		row, any := []string{s.Title}, false
		for _, name := range r.servers() {
			text := "–"
			if c := s.cell(name); c != nil {
				if t := show(s, c); t != "" {
					text, any = t, true
				}
			}
			row = append(row, text)
		}
		if any {
			rows = append(rows, row)
		}
	}
	return markdown(rows)
}

// blocks returns the measured blocks of BENCHMARKS.md by name.
func (r *results) blocks() map[string]string {
	m := r.Machine
	return map[string]string{
		"machine": fmt.Sprintf("Measured on %s: %d cores (%s), %s of memory, %s.\n%s.\nRounds: %d, each turn of %g s: `%s`\n",
			r.Date, m.Cores, m.CPU, m.Memory, m.System, strings.Join(m.Servers, "; "), r.Rounds, r.Seconds, r.Command),
		"cpu": r.perScenario(func(s *scenario, c *cell) string {
			text := bench.Figure(c.CPU)
			if floor := s.cell("floor"); floor != nil && floor != c && floor.CPU > 0 {
				text += fmt.Sprintf(" (%.2f ×)", c.CPU/floor.CPU)
			}
			return text
		}),
		"throughput": r.perScenario(func(_ *scenario, c *cell) string { return bench.Whole(c.PerSecond) }),
		"latency": r.perScenario(func(s *scenario, c *cell) string {
			if s.background() {
				return ""
			}
			return fmt.Sprintf("%s; %s; %s", bench.Whole(c.P50), bench.Whole(c.P99), bench.Whole(c.P999))
		}),
		"syscalls": r.perScenario(func(_ *scenario, c *cell) string {
			if c.Syscalls == 0 {
				return ""
			}
			return fmt.Sprintf("%.1f; %.1f", c.Syscalls, c.Switches)
		}),
		"background": r.backgroundTable(),
		"memory":     r.memoryTable(),
	}
}

func (r *results) backgroundTable() string {
	rows := [][]string{{"server", "submitted per second", "CPU µs each", "drained per second", "CPU µs each", "memory per queued job, B"}}
	for _, c := range r.scenario("background").Servers {
		rows = append(rows, []string{
			title(c.Server), bench.Whole(c.PerSecond), bench.Figure(c.CPU), bench.Whole(c.Drained), bench.Figure(c.DrainCPU), bench.Whole(c.Queued),
		})
	}
	return markdown(rows)
}

func (r *results) memoryTable() string {
	rows := [][]string{{"server", "at the start, MiB", "per idle worker, KiB", "most with 1 MiB payloads, MiB", "most with 16 MiB payloads, MiB"}}
	for i := range r.series("memory").Lines {
		l := &r.series("memory").Lines[i]
		row := []string{title(l.Name), bench.Figure(l.Points[0].Y), fmt.Sprintf("%.2f", l.slope()*1024)}
		for _, s := range []string{"1m", "16m"} {
			text := "–"
			if c := r.scenario(s).cell(l.Name); c != nil {
				text = bench.Figure(float64(c.Peak) / (1 << 20))
			}
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	return markdown(rows)
}
