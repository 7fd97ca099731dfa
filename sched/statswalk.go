package sched

// StatsWalk goes through the functions that a FunctionWalk comes by, in no particular order, which takes
// less. A function that is removed and created again during the walk may come twice.
type StatsWalk struct {
	sched     *Sched
	shard     int
	functions mapSteps
}

// WalkStats begins to go through the functions.
func (s *Sched) WalkStats() *StatsWalk { return &StatsWalk{sched: s} }

// Next takes a step: it appends to dst at most walkFunctions functions, possibly none.
func (w *StatsWalk) Next(dst []FunctionStats) (_ []FunctionStats, more bool) {
	for n := 0; w.shard < shardCount && n < walkFunctions; {
		sh := &w.sched.shards[w.shard]
		sh.lock()
		for ; n < walkFunctions; n++ {
			if !w.functions.next(sh.functions) {
				w.shard++
				break
			}
			if fn := w.functions.iter.Value().Interface().(*function); fn.shown() {
				dst = append(dst, fn.stats())
			}
		}
		sh.mu.Unlock()
		w.sched.step()
	}
	return dst, w.shard < shardCount
}
