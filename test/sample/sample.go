// Package sample says how much of an exhaustive test is done: one that tries each call, each seed or each size. With the race
// detector it does a sample: the detector makes such a test five to ten times slower, and a race shows in the first few rounds
// or in none. "make test" does all of it once more without.
package sample

// Of returns all, or some of it with the race detector.
func Of(all, some int) int {
	if Only {
		return some
	}
	return all
}
