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
//	meta  version of the tables, last run
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
// # Unknown outcomes
//
// When the connection is lost during a batch nobody knows whether it was committed. The same batch is sent again, behind
// the fence, with the same numbers: what is there already is left alone, and the commit waits for the standbys
// whatever it finds. Nothing is acknowledged before.
//
// Files: engine.go (Store's methods), commit.go (batches and the committer), fence.go and fence_control.go (the
// lock of a batch against being taken over, and a build without it), sql.go (statements), outcome.go (what
// becomes of jobs of a batch), lease.go (heartbeat, taking over), adopt.go (reading what was taken over), lookup.go
// (jobs of other brokers), argument.go (large arguments), schema.go (tables), driver.go (batches
// without an engine, for measurements), session.go (connections), options.go,
// settings.go, counts.go, status.go (what an operator asks for), check.go, dump.go, import.go (gearloop store).
package postgres
