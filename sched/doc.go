// Package sched is the heart of the broker: functions, their queues and workers, jobs and the
// clients that listen to them.
//
// It does no I/O and reads no clock. The reactor calls Handle with a packet that came from a peer
// and the present time; what has to be sent, and which timers have to be set, comes back as
// Effects, to be carried out after the call, when no lock is held any more. That is why it can be
// simulated, fuzzed and replayed. The example of this package is the caller's loop in a few lines; the stories in
// testdata/scenarios show what comes out for which packets.
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
// reason. Others touch a peer in three ways only: they wake it (one compare-and-swap on its state,
// which is why no NOOP is ever sent twice for one sleep), they send to it through an Effect, or they end a job
// that it does (abandon): then its goroutine tells those who listen, so that nothing that it has said
// before comes after that.
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
// Whoever wants to look at all jobs, functions or connections goes through them a step at a time, with a
// JobWalk and the like, so that a million of them stall nobody. A step takes some ten microseconds and holds
// a lock for less than that; between steps everything goes on. Whatever is there from the first step to the
// last comes exactly once, as it is when it comes. What begins or ends on the way may come or not. There is
// no moment at which everything held that was told.
//
// Next takes a step: it appends what it came by to dst, which may be nothing. What lies behind dst's
// length is overwritten, and its slices are used again. more says whether to go on. A walk may be
// given up at any time. Only one goroutine may use it, but any. Size is how much memory a walk holds for
// the order of what is to come, in bytes. Looked is how many things the last step looked at: each is
// worth a few hundred nanoseconds.
//
// Files: sched.go (the scheduler, shards), peer.go, function.go, job.go and sleepers.go (what there is),
// life.go, outcome.go, policy.go and counters.go (the life of a job), durable.go, events.go and fetch.go (jobs
// that a store keeps), handle.go (packets to calls), submit.go, grab.go, work.go, sleep.go, leave.go, delay.go,
// cron.go, deadlines.go (what happens), listeners.go and fan.go (who hears of it), unique.go, abilities.go, status.go and snapshot.go (what can be asked), walk.go,
// walk_clients.go and runs.go (how to go through everything in steps), effects.go, timer.go, budget.go, limits.go.
package sched
