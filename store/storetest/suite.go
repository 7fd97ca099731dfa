// Package storetest is the suite that every engine of package store must pass: its promises, their order, its
// answers, what faults and crashes leave, and agreement with a model. An engine's test describes the engine
// and calls Run:
//
//	func TestContract(t *testing.T) {
//		storetest.Run(t, storetest.Engine{New: newSite, Large: store.LargeArgument})
//	}
//
// The suite knows an engine only through package store. The Site knows where the engine keeps its jobs, how
// to make that fail, and what a crash leaves of it.
//
// Files: suite.go (what an engine's test provides), process.go (one opening of a store, checked), ledger.go
// (what must be in it), promise.go, receipts.go, events.go, faults.go, crash.go, model.go (the tests).
package storetest

import (
	"testing"

	"gearloop/store"
)

// Engine is what an engine's test provides.
type Engine struct {
	// New returns an empty site.
	New func(testing.TB) Site

	// Large is the size in bytes from which on the engine stores an argument separately: store.LargeArgument, or
	// less for fast tests.
	Large int

	// Unique says that the engine answers store.UniqueTaken for a second job with the function and unique id of a
	// living one. The scheduler appends such a job only when it has not seen the other yet.
	Unique bool

	// LosesPower says that a loss of power may lose acknowledged jobs. The end of the process never may.
	LosesPower bool

	// Faults are errors that the layer below the engine may return. nil: it is not made to fail.
	Faults []error

	// OnlyCrashes omits the tests without crashes: for a variant of a tested engine that differs only in what a
	// crash leaves.
	OnlyCrashes bool

	// Slow says that a start takes long. The suite then leaves out most crashes, faults and model runs; crashes at random.
	Slow bool

	// Thorough, if over 0, is the number of rounds of the crash tests and the model.
	Thorough int
}

// Site is where an engine keeps its jobs.
type Site interface {
	// Open opens the store at this site in a simulated process of its own, without starting it.
	Open() (store.Store, error)

	// Adopted reports whether a store that was opened here and started has adopted all jobs at this site. An
	// engine that shares them with other brokers waits until these are known to be dead.
	Adopted(store.Store) bool

	// Intercept calls f before each call with which a process opened here changes something outside of it: a
	// file, another machine. call describes it, for messages. If f returns an error the call fails with it. f
	// may block, and may call Crash. nil ends the interception.
	Intercept(f func(call string) error)

	// Crash returns what a crash at this moment would leave, as a new site: everything that the process had
	// written or, with power, what survives a loss of power. The process itself goes on as before.
	Crash(power bool) Site
}

// Run runs the whole suite.
func Run(t *testing.T, e Engine) {
	for _, test := range []struct {
		name    string
		run     func(*testing.T, Engine)
		crashes bool
	}{
		{"KeepsJobs", keepsJobs, false},
		{"KeepsOrder", keepsOrder, false},
		{"KeepsUpdates", keepsUpdates, false},
		{"KeepsMany", keepsMany, false},
		{"EndsAreKept", endsAreKept, false},
		{"Limits", limits, false},
		{"Arguments", arguments, false},
		{"ReceiptsInOrder", receiptsInOrder, false},
		{"ReceiptsOfClose", receiptsOfClose, false},
		{"WithoutHurry", withoutHurry, false},
		{"DoneBeforeReceipt", doneBeforeReceipt, false},
		{"ManyAtOnce", manyAtOnce, false},
		{"Closed", closed, false},
		{"Runs", runs, true},
		{"NewRun", newRun, false},
		{"Lookup", lookup, false},
		{"Stats", stats, false},
		{"NothingWaits", nothingWaits, false},
		{"RefusedIsNotStored", refusedIsNotStored, false},
		{"RefusedThenTaken", refusedThenTaken, false},
		{"Outage", outage, false},
		{"ClosedInOutage", closedInOutage, false},
		{"EachCallFails", eachCallFails, false},
		{"CrashAtEachCall", crashAtEachCall, true},
		{"Model", model, true},
	} {
		if e.OnlyCrashes && !test.crashes {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, e)
		})
	}
}
