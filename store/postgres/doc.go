// Package postgres keeps background jobs in a PostgreSQL database that several brokers share, so that the loss of a
// machine loses no acknowledged job. It is an engine of package store.
//
// # Who has a job
//
// A job belongs to the broker that took it in. That broker has it in memory and hands it out without asking the
// database: a job costs one insert and one delete, both in batches. The number of a job tells its run, and the table
// run tells which broker has that run. When a broker dies another one takes its runs over, by changing that table, and
// reads their jobs.
//
//	run   who has which run: the fence
//	beat  the heartbeat of each broker
//	job   a row for each job
//	arg   arguments of store.LargeArgument bytes or more, in pieces
//	meta  version of the tables, last run, the secret by which brokers recognize each other
//	setting  what operators have set on functions, for each node
//
// # The fence
//
// Each batch begins with a shared lock on the broker's own row of run, and each of its statements looks whether that
// row still names the broker. Taking over changes the row, so it waits for a batch that is under way, and every later
// batch of the old owner changes nothing. The lock has to be there: without it a batch that looks before the
// change and writes after it leaves jobs that nobody has.
//
// # The lease
//
// The owner adds one to its beat every Options.Beat. It hands out stored jobs until Options.Lease after it began the
// last one that went well. Others take over when they have seen no change for Options.Takeover, counted only while
// their own beats go well. No clocks of two machines are compared.
//
// Whoever takes over locks its own row of run, then the other's beat, then the other's rows of run. So nobody gains runs
// while it loses its own, and nobody beats, and believes in its lease, while its runs are being taken.
//
// # Unknown outcomes
//
// When the connection is lost during a batch nobody knows whether it was committed. The same batch is sent again, behind
// the fence, with the same numbers: what is there already is left alone, and the commit waits for the standbys
// whatever it finds. Nothing is acknowledged before. The server's process of the lost connection is ended first: it may
// have received the batch and not have begun it, and would store jobs again that are done by then.
//
// # Contested jobs
//
// A job whose unique id a job of another broker has is contested: only the owner of the other one knows whether it still
// lives. The job leaves its batch and waits in memory that is bounded, while its owner is asked (Options.Ask). Its
// receipt comes from the answer, from the batch that stores it after all, or from the end of the run, whichever is first;
// that of a lost run comes before Disowned.
//
// # Errors
//
// An error of the connection leaves a batch in doubt. A value that the database refuses costs its job alone: the batch is
// halved. Any other refusal (a full disk, a right that is gone) concerns all jobs: they are refused until a batch is taken.
//
// Files: engine.go (Store's methods), batch.go (batches), commit.go (the committer), outage.go (while the database is
// away), sql.go (statements), fence.go and fence_control.go (the lock of a batch against being taken over, and a build
// without it), contest.go (contested jobs), inquiry.go (questions to other brokers), lease.go (heartbeat, taking over),
// adopt.go (reading what was taken over), argument.go (large arguments), schema.go (tables), session.go (connections),
// options.go, settings.go, counts.go, status.go and looks.go (what an operator sees), check.go, dump.go, import.go
// (gearloop store), patience.go (how long check and dump wait for the database), driver.go (a database without a broker, for comparison).
package postgres
