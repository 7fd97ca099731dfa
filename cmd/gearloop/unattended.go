package main

import (
	"context"
	"time"

	"gearloop/internal/monitor"
	"gearloop/internal/view"
)

// unattendedEvery is the time between two looks for functions without workers.
const unattendedEvery = 15 * time.Second

// watchUnattended logs functions whose jobs wait at this broker without a worker connected to it, once for
// each time that this begins. It is for a broker that shares its store with others: the workers may know one
// of those only.
func (p *process) watchUnattended(ctx context.Context) {
	source := p.life
	if p.side != nil {
		source = p.side.source
	}
	if source == nil {
		source = view.New(view.Config{Sched: p.scheduler, Server: p.server, Version: version, Started: p.started})
	}
	watch := view.Unattended{Source: source}
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(unattendedEvery):
		}
		found, more := watch.New()
		for _, f := range found {
			p.log.Warn("jobs wait, and no worker of their function is connected to this broker: a worker has to know all brokers of --store",
				"function", monitor.Printable(f.Name), "jobs", f.Waiting, "oldest", f.Oldest.Round(time.Second))
		}
		if more > 0 {
			p.log.Warn("jobs of more functions wait without a worker at this broker", "functions", more)
		}
	}
}
