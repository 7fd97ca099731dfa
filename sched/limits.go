package sched

import (
	"time"

	"gearloop/store"
)

// Every bound of the scheduler, with its reason. What happens at the bound is said in
// docs/protocol.md.
const (
	// MaxFunction is the longest name of a function, in bytes.
	MaxFunction = 512
	// MaxUnique is the longest unique id, in bytes: it is kept with the job and has to lie in the
	// first chunk of a large packet.
	MaxUnique = 64 << 10
	// MaxHandle is the longest handle, in bytes with the NUL that ends it in C programs.
	MaxHandle = 64
	// maxDigits is the length of the longest number in a handle: no server lives to see more jobs.
	maxDigits = 19
	// MaxClientID is how much of SET_CLIENT_ID is kept, in bytes.
	MaxClientID = 512
	// departedClientID is how much of the client id of a worker that has left is kept with its functions, in bytes.
	departedClientID = 64
	// maxDepartures is of how many functions of a shard that are forgotten it is remembered which worker left last.
	maxDepartures = 16
	// maxSteered is how many functions operators can pause or close at a time.
	maxSteered = 4096
	// maxSettingBy and maxSettingReason are how much is kept of who set something and why, in bytes.
	maxSettingBy     = 256
	maxSettingReason = 1000
	// MaxStatusNumber is how much of each number of WORK_STATUS is kept for GET_STATUS, in bytes.
	// What is relayed is not cut.
	MaxStatusNumber = 64
	// MaxEcho is how much of a bad packet is repeated in an error text, in bytes.
	MaxEcho = 8 << 10
	// MaxAbilities is how many functions one worker can do: it looks at all of them when it asks in
	// vain for a job, and others wait that long.
	MaxAbilities = 16 << 10
	// MaxListeners is how many submissions may join a job that has a listener: each costs a packet for every packet
	// of its worker.
	MaxListeners = 64 << 10
	// MaxJoins is how many joined jobs a connection may listen to, each counted as often as it joined it.
	MaxJoins = 16 << 10
	// wideJob is from how many that joined it on the packets of a job are sent by and by. Fewer are sent to in one
	// call.
	wideJob = 64
	// MaxWaiters is how many background submissions may wait for one job to be stored, beside the one that made
	// it: all of them are answered at the same moment, which takes a few milliseconds.
	MaxWaiters = 16 << 10
	// MaxDoing is how many jobs one worker may have in hand: it may give up all of them with one packet.
	MaxDoing = 16 << 10
	// oldestOf is among how many jobs of a worker the oldest is looked for, when it is shown.
	oldestOf = 4096
	// callJobs is how many jobs one call ends, drops or takes from a worker, some hundred microseconds' worth; for
	// the rest the call is made again (Effects.Again).
	callJobs = 256
	// callHash is how much of an argument one call hashes, in bytes.
	callHash = 256 << 10
	// askedChain is at how many jobs of functions with the same unique id GET_STATUS_UNIQUE looks for one that the
	// peer may know of.
	askedChain = 64
	// callSleepers is how many entries among a function's sleepers one call takes out.
	callSleepers = 1024
	// Effects.Work: as much as an ordinary packet costs it to look at so many abilities, to lock so many functions
	// one after the other, to look at so many jobs of a worker, to send so many packets or bytes, and to hash so many
	// bytes.
	workAbilities = 64
	workLocks     = 8
	workDoing     = 32
	workPackets   = 4
	workBytes     = 4 << 10
	workHash      = 512
	// releaseTurn is how many jobs that are due at the same moment are queued under one lock; the
	// rest come next.
	releaseTurn = 1000
	// shelveTurn is how many jobs are queued again under one lock when a lease is renewed.
	shelveTurn = 1000
	// retainedPackets is how many packets Effects keep room for.
	retainedPackets = 4096
	// maxLate is how many timed-out jobs a worker is remembered to owe a result. A late result
	// beyond that is answered like one for an unknown handle.
	maxLate = 1024
	// latestDue is the last second at which a job can be due, in 2262: the last that a store can tell. A later time
	// counts as this one, so that it is the same before a restart and after.
	latestDue = store.LatestDue
	// maxTimeout bounds CAN_DO_TIMEOUT; anything longer is as good as this.
	maxTimeout = 10 * 365 * 24 * time.Hour

	// maxKept is how many functions of a shard stay known though nobody needs them any more, where
	// the dialect has it so: names come from peers.
	maxKept = 256

	// shardCount is the number of locks that functions share. It is far above the number of cores,
	// so that two loops rarely meet, and small enough to go through all of them for a status. The numbers of
	// stored jobs are made with it, so it can't change.
	shardCount = store.Shards

	// cacheLines is how far apart things have to lie in memory, in bytes, for cores that write to one not to hinder
	// those that use the other: two cache lines, as many processors fetch them in pairs.
	cacheLines = 128

	// What is charged to the memory budget for the scheduler's own structures, in bytes: what they
	// take on a 64-bit machine, with the maps they stand in.
	costJob      = 320
	costUnique   = 144
	costListener = 32  // with its place in Peer.joined
	costWaiter   = 64  // with its place in the connection's output
	costFunction = 832 // with its counters, and the last worker that left it
	costAbility  = 192
)
