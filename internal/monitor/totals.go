package monitor

import (
	"fmt"
	"io"
	"time"

	"gearloop/api"
)

// totalsColumns are the columns of Totals with fixed widths, so that lines written one by one align.
var totalsColumns = []struct {
	head  string
	width int
}{
	{"TIME", 8}, {"STATE", 8}, {"WAITING", 11}, {"RUNNING", 9}, {"DELAYED", 9}, {"SUBMITTED/s", 11}, {"ENDED/s", 9}, {"FAILED/s", 9},
	{"REFUSED/s", 9}, {"WORKERS", 9}, {"ASLEEP", 9}, {"CONNECTIONS", 11},
}

// failures are the outcomes that count as failed.
var failures = []string{"fail", "exception", "timeout", "worker_lost"}

func failed(ended map[string]api.Count) (n api.Count) {
	for _, outcome := range failures {
		n += ended[outcome]
	}
	return n
}

// Totals writes the totals of a broker as one line, with rates since before, which may be nil.
func Totals(w io.Writer, before, now *api.Server, heads bool) error {
	cells := []string{now.Now.Local().Format(time.TimeOnly), now.State}
	t := &now.Totals
	rates := []string{"-", "-", "-", "-"}
	if before != nil {
		b, span := &before.Totals, now.Now.Sub(before.Now).Seconds()
		rates = []string{
			rate(t.Submitted, b.Submitted, span), rate(sum(t.Ended), sum(b.Ended), span), rate(failed(t.Ended), failed(b.Ended), span),
			rate(sum(t.Refused), sum(b.Refused), span),
		}
	}
	cells = append(cells, Number(t.Waiting), Number(t.Running), Number(t.Delayed))
	cells = append(cells, rates...)
	cells = append(cells, Number(t.Workers), Number(t.Asleep), Number(t.Connections))
	line := func(cell func(int) string) string {
		text := ""
		for i, c := range totalsColumns {
			if i < 2 {
				text += fmt.Sprintf("%-*s  ", c.width, cell(i))
			} else {
				text += fmt.Sprintf("%*s  ", c.width, cell(i))
			}
		}
		return text[:len(text)-2] + "\n"
	}
	text := ""
	if heads {
		text = line(func(i int) string { return totalsColumns[i].head })
	}
	_, err := io.WriteString(w, text+line(func(i int) string { return cells[i] }))
	return err
}
