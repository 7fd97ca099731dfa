package main

import (
	"context"
	"log/slog"
	"time"

	"gearloop/sched"
)

const (
	refusalsEvery = time.Second      // between two looks for refused submissions
	refusalsOver  = 30 * time.Second // without a refusal, until the log says so
)

// refusalTexts are what the log says when submissions begin to be refused. The store has lines of its own.
var refusalTexts = [sched.Refusals]string{
	sched.NoMemory:  "submissions are refused: jobs take what --max-memory leaves to them",
	sched.QueueFull: "submissions are refused: a function has as many jobs as its maxqueue allows",
	sched.TooMany:   "submissions are refused: too many clients wait for one job, or a client for too many",
	sched.Closed:    "submissions are refused: an operator has closed their function",
}

// refusalWatch logs when submissions begin to be refused, and when none has been for refusalsOver, for each reason.
type refusalWatch struct {
	log  *slog.Logger
	seen [sched.Refusals]uint64 // refused until the last look
	now  [sched.Refusals]refusing
}

// refusing is a time in which submissions are refused.
type refusing struct {
	last   time.Time // look that saw a refusal; zero: none are refused
	before uint64    // refused before it began
}

// look compares the numbers of refused submissions with those of the last look.
func (w *refusalWatch) look(now time.Time, refused [sched.Refusals]uint64) {
	for i, text := range refusalTexts {
		reason, r := sched.Refusal(i), &w.now[i]
		switch {
		case text == "":
		case refused[i] > w.seen[i]:
			if r.last.IsZero() {
				r.before = w.seen[i]
				w.log.Warn(text, "reason", reason, "refused", refused[i]-r.before)
			}
			r.last = now
		case !r.last.IsZero() && now.Sub(r.last) >= refusalsOver:
			w.log.Warn("no submission has been refused for a while", "reason", reason, "for", refusalsOver, "refused", refused[i]-r.before)
			*r = refusing{}
		}
	}
	w.seen = refused
}

// watchRefusals looks until ctx ends.
func (p *process) watchRefusals(ctx context.Context) {
	w := refusalWatch{log: p.log}
	every := time.NewTicker(refusalsEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-every.C:
			w.look(now, p.scheduler.Counters().Refused)
		}
	}
}
