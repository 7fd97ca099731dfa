package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"gearloop/api"
	"gearloop/sched"
)

const (
	// mostConcerns bounds the list of problems.
	mostConcerns = 50
	// longWait is how long a job may wait, although there are workers, before it needs attention.
	longWait = 5 * time.Minute
	// soon is how long before its end a certificate needs attention.
	soon = 14 * 24 * time.Hour
	// nearlyFull is the percentage of a limit from which on it needs attention.
	nearlyFull = 90
)

// attention returns what is wrong, worst first: what concerns the whole broker, then functions without
// workers, then those whose jobs wait for long; of these the one with the oldest job first. Then come those
// of whose jobs many have failed lately, the highest share first, and functions that somebody has paused or
// closed, the longest first. A paused function is told of once: that its jobs wait is what was asked for.
func (s *Source) attention() []api.Concern {
	all := s.brokerConcerns()
	snap, _ := s.snapshot()
	var bad []int32
	for i := range snap.rows {
		if f := &snap.rows[i]; f.waiting > 0 && !f.paused && (f.workers == 0 || f.oldest >= longWait) {
			bad = append(bad, int32(i))
		}
	}
	bad = first(bad, max(mostConcerns-len(all), 0), func(i, j int32) int {
		a, b := &snap.rows[i], &snap.rows[j]
		return cmp.Or(cmp.Compare(min(a.workers, 1), min(b.workers, 1)), cmp.Compare(b.oldest, a.oldest), strings.Compare(a.name, b.name))
	})
	for _, i := range bad {
		f := &snap.rows[i]
		name := strings.ToValidUTF8(f.name, "�")
		c := api.Concern{Kind: "no_workers", Text: fmt.Sprintf("%s: no worker is connected, and %s; the oldest for %s",
			name, waits(int(f.waiting)), f.oldest.Round(time.Second))}
		if f.isUnattended() && s.Sharer() != nil {
			c.Text += "; " + knowAll
		}
		if f.workers > 0 {
			c.Kind, c.Text = "oldest_waiting", fmt.Sprintf("%s: the oldest job has waited for %s; %s", name, f.oldest.Round(time.Second), waits(int(f.waiting)))
		}
		c.Function, c.FunctionBase64 = api.Split(f.name)
		all = append(all, c)
	}
	rest := append(s.failingConcerns(snap.rows), s.settingConcerns()...)
	return append(all, rest[:min(len(rest), max(mostConcerns-len(all), 0))]...)
}

// failingConcerns returns the functions of whose jobs many have failed lately, the highest share first.
func (s *Source) failingConcerns(rows []functionRow) (all []api.Concern) {
	type failing struct {
		name string
		failures
	}
	var found []failing
	lately, since := s.failures.lately(rows, s.cfg.Started, fewFailures)
	for i := range lately {
		if f := &lately[i]; f.many() {
			found = append(found, failing{rows[i].name, *f})
		}
	}
	slices.SortFunc(found, func(a, b failing) int {
		return cmp.Or(cmp.Compare(b.share(), a.share()), cmp.Compare(b.failed(), a.failed()), strings.Compare(a.name, b.name))
	})
	window := max(s.cfg.Now().Sub(since), 0).Round(time.Second)
	for i := range found[:min(len(found), mostConcerns)] {
		f := &found[i]
		c := api.Concern{Kind: "failing", Text: fmt.Sprintf("%s: %.0f %% of the jobs that ended in the last %s failed (%d of %d)",
			strings.ToValidUTF8(f.name, "�"), 100*f.share(), window, f.failed(), f.ended)}
		c.Function, c.FunctionBase64 = api.Split(f.name)
		all = append(all, c)
	}
	return all
}

// settingConcerns returns the operators' settings of functions, the oldest first.
func (s *Source) settingConcerns() (all []api.Concern) {
	now := s.cfg.Now()
	add := func(name, kind, what string, set *sched.Setting) {
		if set == nil {
			return
		}
		ago := max(now.Sub(set.Since), 0)
		c := api.Concern{Kind: kind, Since: &api.Instant{At: set.Since.UTC(), Ago: ago.Seconds()}}
		c.Function, c.FunctionBase64 = api.Split(name)
		c.Text = fmt.Sprintf("%s: %s by %s %s ago", strings.ToValidUTF8(name, "�"), what, cmp.Or(set.By, "somebody"), ago.Round(time.Second))
		if !set.Until.IsZero() {
			c.Text += ", until " + set.Until.UTC().Format(time.RFC3339)
		}
		if f, ok := s.cfg.Sched.FunctionStats(name); ok && kind == "paused" {
			waiting := 0
			for p, n := range f.Waiting {
				waiting += n - f.Delayed[p]
			}
			c.Text += "; " + waits(waiting)
		}
		if set.Reason != "" {
			c.Text += " (" + set.Reason + ")"
		}
		all = append(all, c)
	}
	settings := s.cfg.Sched.Settings()
	slices.SortFunc(settings, func(a, b sched.FunctionSettings) int {
		return cmp.Or(setSince(a).Compare(setSince(b)), strings.Compare(a.Function, b.Function))
	})
	for _, f := range settings[:min(len(settings), mostConcerns)] {
		add(f.Function, "paused", "paused", f.Paused)
		add(f.Function, "closed", "closed for submissions", f.Closed)
	}
	return all
}

// setSince returns since when a function has a setting.
func setSince(f sched.FunctionSettings) time.Time {
	switch {
	case f.Paused == nil:
		return f.Closed.Since
	case f.Closed == nil || f.Paused.Since.Before(f.Closed.Since):
		return f.Paused.Since
	}
	return f.Closed.Since
}

func waits(n int) string {
	if n == 1 {
		return "1 job waits"
	}
	return fmt.Sprintf("%d jobs wait", n)
}

// brokerConcerns returns problems of the whole broker.
func (s *Source) brokerConcerns() []api.Concern {
	all := []api.Concern{}
	add := func(kind, format string, args ...any) {
		all = append(all, api.Concern{Kind: kind, Text: fmt.Sprintf(format, args...)})
	}
	if st, ok := s.Store(); ok && !st.Up {
		add("store", "Background jobs can't be stored and are refused: %s", st.Error)
		all[0].Since = st.FailingAt
	}
	if sharer := s.Sharer(); sharer != nil {
		if seen, ok := sharer.LastCluster(); ok {
			for _, problem := range ClusterOf(&seen).Problems {
				add("cluster", "Cluster: %s", problem)
			}
		}
	}
	if limit := s.cfg.MemoryLimit; limit > 0 {
		if used := s.cfg.Sched.Memory(); used >= limit/100*nearlyFull {
			add("memory", "Jobs take %d %% of --max-memory; beyond it new ones are refused", used*100/limit)
		}
	}
	if s.cfg.Server != nil {
		if now, limit := s.cfg.Server.Connections(); limit > 0 && now >= limit*nearlyFull/100 {
			add("slots", "%d of %d connections are taken; beyond that new ones wait", now, limit)
		}
	}
	if s.cfg.Certificates != nil {
		now := s.cfg.Now()
		expiry := s.cfg.Certificates()
		files := make([]string, 0, len(expiry))
		for file := range expiry {
			files = append(files, file)
		}
		slices.Sort(files)
		for _, file := range files {
			switch left := expiry[file].Sub(now); {
			case left <= 0:
				add("certificate", "A certificate in %s has expired: %s", file, expiry[file].UTC().Format(time.DateOnly))
			case left < soon:
				in := fmt.Sprintf("%d days", int(left.Hours()/24))
				if in == "1 days" {
					in = "1 day"
				}
				add("certificate", "A certificate in %s expires in %s: %s", file, in, expiry[file].UTC().Format(time.DateOnly))
			}
		}
	}
	return all
}
