// Package storetest is the suite that every engine of package store must pass: what it promises, in which
// order, when it answers, what faults and crashes leave, and that a model agrees. An engine's test makes an
// Engine of its own kind and calls Run:
//
//	func TestContract(t *testing.T) {
//		storetest.Run(t, storetest.Engine{New: newSite, Large: store.LargeArgument})
//	}
//
// The suite knows an engine by package store alone. Where an engine keeps its jobs, how that fails and what a
// crash leaves of it is the Site's to say.
//
// Files: suite.go (what an engine's test provides), process.go (one opening of a store, watched), ledger.go
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

	// Large is the size of an argument from which on the engine keeps it apart, in bytes:
	// store.LargeArgument, or less if it was made so to have quick tests.
	Large int

	// LosesPower says that acknowledged jobs may be lost when the machine loses power. They never may when
	// the process is killed.
	LosesPower bool

	// Faults are errors as what lies below the engine returns them. nil: it is not made to fail.
	Faults []error

	// OnlyCrashes leaves out the tests in which no process crashes: for an engine that differs from one that was
	// tested by what a crash leaves.
	OnlyCrashes bool

	// Thorough, if it is over 0, has the tests of crashes and the model take that many turns instead of few.
	Thorough int
}

// Site is where an engine keeps its jobs.
type Site interface {
	// Open opens the store that lies here, in a process of its own. It is not started.
	Open() (store.Store, error)

	// Intercept has f called ahead of each call by which a process that was opened here changes something
	// outside of it: a file, another machine. call says which, for messages. With an error from f the call
	// fails with that. f may block, and may call Crash. nil: nobody is asked any more.
	Intercept(f func(call string) error)

	// Crash returns what a crash at this moment would leave, as a site of its own: all that the process had
	// written, or, with power, what was safe from a loss of power. The process that was opened here goes on
	// as before.
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
		{"KeepsRetries", keepsRetries, false},
		{"KeepsMany", keepsMany, false},
		{"EndsAreKept", endsAreKept, false},
		{"Limits", limits, false},
		{"Arguments", arguments, false},
		{"ReceiptsInOrder", receiptsInOrder, false},
		{"ReceiptsOfClose", receiptsOfClose, false},
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
