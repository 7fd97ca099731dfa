package rounds

import (
	"fmt"
	"io"
	"sync"
	"time"

	"gearloop/internal/load"
)

// progressPause is how often the progress line is written.
const progressPause = 250 * time.Millisecond

// progress is a line that shows the progress of a turn.
type progress struct {
	out     io.Writer
	what    string
	stop    chan struct{}
	writing sync.WaitGroup
}

func newProgress(out io.Writer, what string) *progress {
	p := &progress{out: out, what: what, stop: make(chan struct{})}
	p.write("connecting")
	return p
}

func (p *progress) write(format string, args ...any) {
	if p.out != nil {
		fmt.Fprintf(p.out, "\r\x1b[K%s: %s", p.what, fmt.Sprintf(format, args...))
	}
}

// follow shows the progress of l until end.
func (p *progress) follow(l *load.Load, mode load.Mode) {
	if p.out == nil {
		return
	}
	p.writing.Go(func() {
		tick := time.NewTicker(progressPause)
		defer tick.Stop()
		last, lastTime := int64(0), time.Now()
		for {
			select {
			case <-p.stop:
				return
			case now := <-tick.C:
				clients, workers := l.Done()
				if mode != load.Background {
					workers = 0
				}
				done := clients + workers
				rate := float64(done-last) / now.Sub(lastTime).Seconds()
				last, lastTime = done, now
				if workers > 0 {
					p.write("%s submitted, %d drained, %.0f/s", count(int(clients), "job"), workers, rate)
				} else {
					p.write("%s, %.0f/s", count(int(clients), "job"), rate)
				}
			}
		}
	})
}

// end removes the line.
func (p *progress) end() {
	close(p.stop)
	p.writing.Wait()
	if p.out != nil {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
