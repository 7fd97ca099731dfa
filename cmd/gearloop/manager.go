package main

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gearloop/internal/sdnotify"
	"gearloop/internal/view"
	"gearloop/reactor"
)

const (
	// statusEvery is how often the number of jobs is reported to the service manager.
	statusEvery = 10 * time.Second
	// lookEvery is how often the reporter checks whether the server ends, unless the watchdog needs a report
	// more often.
	lookEvery = time.Second
	// loadExtension is how long the manager is asked to wait for a loading store each time; it is asked every
	// loadReport.
	loadExtension, loadReport = 60 * time.Second, 10 * time.Second
	// closeTime is what the end may take after --drain-timeout, to write output and close the store.
	closeTime = 30 * time.Second
)

// reporter reports the server's state to the service manager, if there is one.
type reporter struct {
	to     *sdnotify.Notifier // nil: no manager
	log    *slog.Logger
	alive  func() error         // why the process should be restarted, as in /healthz
	phase  func() reactor.Phase // of the server
	jobs   func() string        // in a few words
	ending time.Duration        // duration of a graceful end; 0: no limit of ours

	ready  atomic.Bool // the start was reported
	told   string      // the last reported status
	toldAt time.Time   // when it was reported
	ends   bool        // the end was reported
	sick   bool        // the last check found it not alive

	mu   sync.Mutex
	deaf bool // the last message could not be sent

	done  chan struct{}
	ended sync.WaitGroup
}

// send sends states to the manager; a failure is logged once.
func (r *reporter) send(states ...string) {
	err := r.to.Send(states...)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil && !r.deaf {
		r.log.Warn("could not report to the service manager", "error", err)
	}
	r.deaf = err != nil
}

// during reports repeatedly, until f returns, that the server needs time before it is ready.
func (r *reporter) during(what string, every time.Duration, f func() error) error {
	if r.to == nil {
		return f()
	}
	done := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			r.send(sdnotify.Status("%s", what), sdnotify.Extend(loadExtension))
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	})
	err := f()
	close(done)
	ended.Wait()
	return err
}

// start reports that the server is ready, and from now on its state.
func (r *reporter) start() {
	if r.to == nil {
		return
	}
	r.told, r.toldAt = r.jobs(), time.Now()
	r.send(sdnotify.Ready, sdnotify.Status("%s", r.told))
	r.ready.Store(true)
	every := lookEvery
	if w := r.to.Watchdog(); w > 0 {
		every = min(every, w/2)
	}
	r.done = make(chan struct{})
	r.ended.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				r.look(now)
			case <-r.done:
				return
			}
		}
	})
}

// end stops what start began.
func (r *reporter) end() {
	if r.done != nil {
		close(r.done)
		r.ended.Wait()
		r.send(sdnotify.Stopping, sdnotify.Status("ended"))
	}
	r.to.Close()
}

// look reports what is due.
func (r *reporter) look(now time.Time) {
	var states []string
	err := r.alive()
	switch {
	case err != nil && !r.sick:
		r.log.Error("the server is stuck: the service manager's watchdog gets no sign of life", "error", err)
	case err == nil && r.to.Watchdog() > 0:
		states = append(states, sdnotify.Alive)
	}
	r.sick = err != nil
	phase := r.phase()
	ends := phase == reactor.Draining || phase == reactor.Ending
	if ends && !r.ends {
		states = append(states, sdnotify.Stopping)
		if r.ending > 0 {
			states = append(states, sdnotify.Extend(r.ending))
		}
	}
	status := r.jobs()
	switch {
	case err != nil:
		status = err.Error()
	case ends:
		status = "ending, " + status
	}
	if due := ends != r.ends || now.Sub(r.toldAt) >= statusEvery || err != nil; due && status != r.told {
		r.told, r.toldAt = status, now
		states = append(states, sdnotify.Status("%s", status))
	}
	r.ends = ends
	if len(states) > 0 {
		r.send(states...)
	}
}

// reloading reports that f reads files again.
func (r *reporter) reloading(f func()) {
	if !r.ready.Load() {
		f()
		return
	}
	r.send(sdnotify.Reload())
	f()
	r.send(sdnotify.Ready)
}

// newReporter returns the reporter of a server that was built.
func (p *process) newReporter() *reporter {
	r := &reporter{to: p.manager, log: p.log, phase: p.server.Phase, jobs: p.inFewWords, alive: func() error { return nil }}
	if p.drainTimeout > 0 {
		r.ending = time.Duration(p.drainTimeout) + closeTime
	}
	switch {
	case p.side != nil:
		r.alive = p.side.source.Alive
	case p.manager.Watchdog() > 0: // nobody else checks
		p.server.Watch()
		p.life = view.New(view.Config{Sched: p.scheduler, Server: p.server, Version: version, Started: p.started})
		r.alive = p.life.Alive
	}
	return r
}

// inFewWords describes the server's state.
func (p *process) inFewWords() string {
	n := p.scheduler.Count()
	return fmt.Sprintf("%s, %s, jobs: %d waiting, %d running", many(n.Peers, "connection"), many(n.Workers, "worker"),
		n.Queued+n.Delayed, n.Running)
}
