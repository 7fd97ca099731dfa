package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"gearloop/bench"
	"gearloop/internal/rounds"
)

// tolerated is by which fraction a ratio to the floor may grow before it counts as worse. Ratios of single rounds
// differ by about that much on a quiet machine.
const tolerated = 0.1

// ratios returns what a server costs over what the first one does, in each round.
func ratios(o, first *rounds.Outcome) (all []float64) {
	for i := range min(len(o.Rounds), len(first.Rounds)) {
		if floor := rounds.PerJob(first.Rounds[i].Server, first.Rounds[i].Part); floor > 0 && o != first {
			all = append(all, rounds.PerJob(o.Rounds[i].Server, o.Rounds[i].Part)/floor)
		}
	}
	return all
}

// check measures the scenarios of a file of results again, and reports those in which a server costs more than it did
// in relation to the floor.
func (o options) check(ctx context.Context) (worse []string, err error) {
	content, err := os.ReadFile(o.against)
	if err != nil {
		return nil, err
	}
	var before results
	if err := json.Unmarshal(content, &before); err != nil {
		return nil, fmt.Errorf("%s: %w", o.against, err)
	}
	o.syscalls = false
	for _, s := range bench.Scenarios() {
		if !o.wants(s.Name) || before.scenario(s.Name).cell("floor") == nil {
			continue
		}
		now, err := measure(ctx, s, o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		worse = append(worse, regressions(before.scenario(s.Name), &now)...)
	}
	return worse, nil
}

// regressions returns a line for each server that costs more than before, in relation to the floor, in every single
// round: more than before with what is tolerated, and more than in any round then.
func regressions(before, now *scenario) (lines []string) {
	floor := before.cell("floor")
	for i := range now.Servers {
		c := &now.Servers[i]
		old := before.cell(c.Server)
		if c.Server == "floor" || old == nil || floor == nil || floor.CPU <= 0 || len(c.Ratios) == 0 {
			continue
		}
		was := old.CPU / floor.CPU
		limit := was * (1 + tolerated)
		if len(old.Ratios) > 0 {
			limit = max(limit, slices.Max(old.Ratios))
		}
		if best := slices.Min(c.Ratios); best > limit {
			lines = append(lines, fmt.Sprintf("%s: %s costs %.2f × the floor in the best of %d rounds, was %.2f ×, up to %.2f × is noise",
				now.Name, c.Server, best, len(c.Ratios), was, limit))
		}
	}
	return lines
}

// budget spreads the rounds over the time that a measurement may take.
type budget struct {
	limit   time.Duration // 0: none
	elapsed time.Duration
	done    int // rounds
}

// rounds returns how many rounds, of those asked for, there is time for, if as many are left for each of what is left.
// One is the least.
func (b budget) rounds(asked, left int) int {
	if b.limit == 0 || b.done == 0 || left == 0 {
		return asked
	}
	each := b.elapsed / time.Duration(b.done) * time.Duration(left)
	return max(1, min(asked, int((b.limit-b.elapsed)/max(each, 1))))
}
