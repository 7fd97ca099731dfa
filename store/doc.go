// Package store is the contract between the scheduler and an engine that keeps background jobs, so that an
// acknowledged one outlives the process. It holds types, errors, the interface and the layout of a handle's
// number, and imports the standard library only. Package disk is the engine that keeps jobs in a directory;
// package storetest is the suite that every engine must pass.
//
// # The caller's loop
//
// Nothing in Store waits for a disk or a network, so event loops may call it under a lock. What takes time is
// answered later:
//
//	the scheduler                        the engine
//	    Start(events) ─────────────────▶ Opened, Lease, Adopt … Adopt, Flushed
//	    Append(job, receipt) … Append ─▶ gathers a batch
//	    Hurry() ───────────────────────▶ writes it, syncs it
//	    receipt.Stored(ref, err) ◀────── for each job of the batch, in the order of Append
//	    events.Flushed() ◀────────────── after the batch
//	    Done(ref) ─────────────────────▶ written with the next batch, or a moment later
//
// A caller with many jobs at hand, such as an event loop that reads several sockets in a turn, calls Hurry once,
// after the last of them. If an engine began with the first job, the others would wait until that one is
// written. An engine does not depend on Hurry: it also begins when many jobs have gathered, and at the latest
// after HurryWithin. So a missing Hurry delays jobs, and loses none.
//
// An engine may tell several receipts without an error by one call of StoredAll, if its user has that
// (BulkReceipts).
//
// One goroutine of the engine, called the engine's goroutine here, calls the receipts, the events and the
// answers of Lookup, one at a time. (During Start it may be the goroutine that called Start.) Whoever is
// called there must not wait: the next batch waits behind it. Flushed comes after every such group of calls,
// so that its user can gather what they cause and act once.
//
// # What an engine promises
//
//   - A job whose receipt came without an error is given to Adopt after any crash, of this process or of a
//     later one, until Done was called for it. How much of a machine may be lost is the engine's to state.
//   - A job whose receipt came with an error is not stored, or, if its outcome could not be known, may be:
//     an error promises nothing, and the job may be done by whoever opens the store next.
//   - Each successful Append is answered by exactly one receipt, in the order of Append, even when Done was
//     called before it or the engine is closing. If another living job has the unique id, or had a moment ago, the
//     receipt may come later, and be a *UniqueTaken. An Append that returned an error gets none.
//   - A crash may lose what Done and Update noted a moment ago: then a job comes back that had ended. So stored
//     jobs are done at least once. A Ref that names no living job is ignored.
//   - Adopt gives the jobs of a function in the order of Append, as they were appended. Retries and Priority may
//     be newer (Update); a job whose priority changed keeps its place in that order. A job that had been refused,
//     and was appended again, may come where it would have come the first time. No number comes twice while its
//     job lives.
//   - A job that ended never keeps another from being stored, read or adopted.
//   - When storing fails, jobs that were acknowledged stay acknowledged. New ones are refused at once
//     (ErrFailed), and are taken again as soon as the engine can store; it tries by itself.
//
// # Runs, leases and adoption
//
// A run is one stretch of handles: its number is given out once in the life of a store, and a handle made
// from it (see Number) is nobody else's. Opened names the run that the scheduler uses from then on. It comes
// once during Start from an engine that needs no network, and may come later from another; before it, Append
// fails, and the scheduler serves foreground jobs alone. It comes again after NewRun and after Disowned.
//
// Several brokers may share an engine's store. Each job belongs to one broker at a time: to the one that took
// it in, until that one dies and another takes its run over. So an owner holds a lease: it may hand out
// stored jobs until the moment in Lease, which the engine moves on as long as it can prove to the others that
// it lives. When the lease is over the jobs stay where they are; the next Lease lets them go on. A broker
// that took over a run is given its jobs by Adopt, while it runs. One that lost its own is told so by
// Disowned: its stored jobs are somebody else's now. All receipts of the lost run come before Disowned, and
// Append fails until Opened has come.
//
// The disk engine has its directory for itself. It tells the same events once, during Start: Opened, a Lease
// that ends Never, and all its jobs by Adopt. So there is one way in, whichever engine it is.
//
// # Files
//
// store.go (the interface and its types), events.go (for those who want few of them, or many receipts at once),
// errors.go, number.go (the layout of handles), due.go (times of jobs), settings.go (what operators set).
package store
