package rounds

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"gearloop/internal/load"
)

// nearlyBusy is the fraction of busy time from which on the generator is assumed to be the bottleneck.
const nearlyBusy = 0.95

// Describe describes a load in one line.
func Describe(c load.Config) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s: %s", c.Mode, count(c.Clients, "client"))
	if c.Rate > 0 {
		fmt.Fprintf(&s, ", %g jobs/s in all", c.Rate)
	} else {
		fmt.Fprintf(&s, " × %d in flight", c.Depth)
	}
	if c.Connect {
		s.WriteString(", a connection for each job")
	}
	if c.Mode != load.Echo {
		fmt.Fprintf(&s, ", %s", count(c.Workers, "worker"))
	}
	if c.Functions > 1 {
		fmt.Fprintf(&s, ", %d functions", c.Functions)
		if c.Abilities < c.Functions {
			fmt.Fprintf(&s, " (%d per worker)", c.Abilities)
		}
	}
	if c.Sleepers > 0 {
		fmt.Fprintf(&s, ", %s", count(c.Sleepers, "sleeper"))
	}
	if c.Idle > 0 {
		fmt.Fprintf(&s, ", %d idle", c.Idle)
	}
	fmt.Fprintf(&s, ", arguments of %s", count(c.Payload, "byte"))
	if c.Mode == load.Foreground && c.Result != c.Payload {
		fmt.Fprintf(&s, ", results of %d", c.Result)
	}
	return s.String()
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// WriteText writes a report as tables; nothing if there is no result.
func (r *Report) WriteText(out io.Writer) {
	usage, sleepers, results := false, false, false
	for _, o := range r.Servers {
		results = results || len(o.Rounds) > 0
		usage = usage || o.Server.PID != 0
		sleepers = sleepers || o.Server.PID != 0 && o.Total.Growth.Connections > 0
	}
	if !results {
		return
	}
	fmt.Fprintln(out, Describe(r.Load))
	head := []string{"server", "jobs/s", "p50", "p90", "p99", "p99.9", "max"}
	if usage {
		head = append(head, "server CPU/job", "switches/job", "resident", "peak")
	}
	if sleepers {
		head = append(head, "memory/sleeper")
	}
	head = append(head, "generator busy")
	if len(r.Servers) > 1 {
		head = append(head, "jobs/s ×", "p50 ×", "CPU ×")
	}
	t := newTable(out, head)
	for _, o := range r.Servers {
		if len(o.Rounds) == 0 {
			continue
		}
		n := &o.Total
		row := []string{o.Server.Name, fmt.Sprintf("%.0f", PerSecond(n.Part))}
		for _, d := range []time.Duration{n.P50, n.P90, n.P99, n.P999, n.Max} {
			row = append(row, micros(d))
		}
		if usage {
			row = append(row, known(o, fmt.Sprintf("%.2f µs", PerJob(n.Server, n.Part))),
				known(o, fmt.Sprintf("%.2f", PerJob(n.Switches, n.Part))), mib(n.Resident), mib(n.Peak))
		}
		if sleepers {
			row = append(row, known(o, fmt.Sprintf("%.2f KiB", n.BytesPerSleeper()/1024)))
		}
		row = append(row, fmt.Sprintf("%.0f %%", 100*r.busy(n)))
		if first := r.Servers[0]; len(r.Servers) > 1 {
			row = append(row, ratio(PerSecond(n.Part), PerSecond(first.Total.Part)), ratio(float64(n.P50), float64(first.Total.P50)),
				known(first, known(o, ratio(PerJob(n.Server, n.Part), PerJob(first.Total.Server, first.Total.Part)))))
		}
		t.row(row)
	}
	t.end()
	if r.Load.Mode == load.Background {
		r.writeDrain(out, usage)
	}
	for _, o := range r.Servers {
		if o.Total.InFlight > 0 {
			fmt.Fprintf(out, "%s: %s had no end when the run was given up\n", o.Server.Name, count(int(o.Total.InFlight), "job"))
		}
		if len(o.Rounds) > 0 && r.busy(&o.Total) > nearlyBusy {
			fmt.Fprintf(out, "%s: the generator was busy all the time; its figures say what the generator can do (try --loops)\n", o.Server.Name)
		}
	}
	if r.Repeated > 0 {
		fmt.Fprintf(out, "rounds made again because the machine was not steady: %d\n", r.Repeated)
	}
	if r.Unsteady {
		fmt.Fprintln(out, "the machine was not steady even then: do not trust these figures")
	}
	if r.Interrupted {
		fmt.Fprintln(out, "interrupted: these are the results so far")
	}
}

// writeDrain writes about the workers' part of background mode.
func (r *Report) writeDrain(out io.Writer, usage bool) {
	head := []string{"server", "drained/s"}
	if usage {
		head = append(head, "server CPU/job", "memory/queued job")
	}
	t := newTable(out, head)
	for _, o := range r.Servers {
		if len(o.Rounds) == 0 {
			continue
		}
		n := &o.Total
		row := []string{o.Server.Name, fmt.Sprintf("%.0f", PerSecond(n.Drain))}
		if usage {
			row = append(row, known(o, fmt.Sprintf("%.2f µs", PerJob(n.Drain.Server, n.Drain))),
				known(o, fmt.Sprintf("%.0f B", o.Rounds[0].BytesPerQueuedJob())))
		}
		t.row(row)
	}
	t.end()
}

// busy returns the fraction of time that the generator's loops were busy.
func (r *Report) busy(n *Round) float64 {
	if n.Elapsed <= 0 {
		return 0
	}
	return n.Generator.Seconds() / n.Elapsed.Seconds() / float64(min(max(r.Load.Loops, 1), r.Load.Clients))
}

// known returns figure, or "-" if it is measured at the server's process and that is unknown.
func known(o *Outcome, figure string) string {
	if o.Server.PID == 0 {
		return "-"
	}
	return figure
}

func micros(d time.Duration) string { return fmt.Sprintf("%.0f µs", float64(d)/1e3) }

func mib(n int64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

func ratio(a, b float64) string {
	if b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", a/b)
}

// table writes aligned rows, numbers to the right.
type table struct{ w *tabwriter.Writer }

func newTable(out io.Writer, head []string) table {
	t := table{tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)}
	t.row(head)
	return t
}

func (t table) row(cells []string) { fmt.Fprintln(t.w, strings.Join(cells, "\t")+"\t") }
func (t table) end()               { t.w.Flush() }
