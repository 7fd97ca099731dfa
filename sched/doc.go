// Package sched is the heart of the broker: functions, their queues and workers, jobs and the
// clients that listen to them.
//
// It does no I/O and reads no clock. The reactor calls Handle with a packet that came from a peer and the
// present time; what has to be sent, and which timers have to be set, comes back as Effects, to be carried
// out after the call, when no lock is held any more. That is why it can be simulated, fuzzed and replayed.
// The example of this package is the caller's loop in a few lines; the stories in testdata/scenarios show
// what comes out for which packets.
//
// # The life of a job
//
//	            ┌────────────────────────────────▶┌────────┐  GRAB_JOB  ┌─────────┐  WORK_COMPLETE …
//	SUBMIT_JOB ─┼─▶ storing ─ is safe ───────────▶│ queued │───────────▶│ running │─────────────────▶ ended
//	            │      └────────▶┌─────────┐  due │        │◀───────────│         │
//	            └───────────────▶│ delayed │─────▶└────────┘ worker lost└─────────┘
//	                             └─────────┘
//
// All states, and those that may follow each. life.go is the only place that changes a state; a program built
// with the tag "invariants" panics at any other change.
//
//	fresh      made, and nobody can find it yet                             → storing, delayed, queued
//	storing    background, and the store has not said yet that it is safe   → delayed, queued, shelved, ended
//	delayed    not due yet                                                  → queued, shelved, ended
//	queued     in a queue of its function                                   → running, shelved, ended
//	running    a worker has it                                              → queued, shelved, abandoned, ended
//	shelved    stored, not to be handed out: no lease, or the server ends   → queued, ended
//	abandoned  cancelled while it ran; its worker does not know             → ended
//	ended      nobody can find it any more                                  → –
//
// A job goes back to its queue when its worker is lost or runs out of time and the policy (policy.go) has
// another worker try. It ends with one of the Outcomes. Beside its state stands how far its store is with it
// (durable.go): a foreground job that a background submission joins is stored while it waits or runs.
//
// # Who may touch what
//
// Functions are spread over shards by a hash of their name, and everything about a function and its
// jobs lies in its shard under the shard's lock: queues, the jobs by handle and by unique id,
// sleepers. No call holds two shard locks.
//
// A Peer belongs to the goroutine that serves its connection: all calls that name it as the caller
// come from there, one at a time. Its abilities and the jobs it is doing need no lock for that
// reason. Others touch a peer in three ways only. They wake it, by one compare-and-swap on its state, so no
// NOOP is sent twice for one sleep. They send to it through an Effect. Or they end a job that it does
// (abandon): then its own goroutine sends the end to the listeners, so that nothing the worker sent before
// arrives after the end.
//
// # No lost wake-up
//
// A worker that goes to sleep first says so in its state, then goes through its functions one by
// one. A submission puts the job into the queue first and then looks for sleepers. Both do their
// part for one function under its shard's lock, so either the worker sees the job or the submission
// sees the sleeper, however their steps through other shards fall.
//
// A worker woken through one function stays listed among the sleepers of its others; whoever comes
// across such an entry drops it. The next sleep finds out for each function, from two atomic values
// and mostly without a lock, whether its entry is still there and no job has come.
//
// # Walks
//
// A walk (JobWalk and the like) goes through all jobs, functions or connections a step at a time, so that a
// million of them stall nobody. A step takes some ten microseconds and holds a lock for less; other calls are
// served between steps. An object that exists from the first step to the last is returned exactly once, in
// its state at that step. Objects created or removed during a walk may be missed. The result is not a
// snapshot.
//
// Next appends the objects that one step found to dst, possibly none, and reuses dst's spare capacity with
// the slices in it. more says whether there are further steps. A walk may be abandoned at any time. Any
// goroutine may use it, but only one at a time. Size is the memory in bytes that a walk holds to put rows in
// order. Looked is the number of objects that the last step looked at, a few hundred nanoseconds each.
//
// # Files
//
//	sched.go                                            the scheduler and its shards
//	peer.go function.go job.go argument.go jobtable.go  the data
//	slab.go                                             the memory of jobs
//	life.go outcome.go policy.go counters.go            the life of a job
//	durable.go settle.go events.go fetch.go storable.go jobs that a store keeps
//	elsewhere.go                                        jobs of other brokers that share it
//	handle.go command.go                                from packets and text commands to calls
//	steer.go settings.go                                what operators set for functions, and its stored form
//	operate.go bulk.go                                  what operators do to one job, and to many
//	rights.go                                           what a peer may do
//	submit.go grab.go work.go own.go sleep.go leave.go  what clients and workers do
//	delay.go cron.go deadlines.go timer.go              what happens at a time
//	sleepers.go herd.go                                 which sleeping workers are woken
//	listeners.go fan.go                                 who gets the packets about a job
//	unique.go abilities.go                              look-up by unique id; what a worker can do
//	status.go snapshot.go detail.go explain.go          what can be asked
//	walk.go walk_*.go runs.go scan.go next.go           going through everything in steps
//	effects.go budget.go limits.go                      what calls return; memory; bounds
package sched
