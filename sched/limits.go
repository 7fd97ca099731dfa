package sched

import (
	"time"

	"gearloop/store"
)

// Every bound of the scheduler, with its reason. docs/protocol.md says what happens at each.
const (
	// MaxFunction is the longest name of a function, in bytes.
	MaxFunction = 512
	// MaxUnique is the longest unique id, in bytes. It is kept with the job and must fit in the first chunk of a
	// large packet.
	MaxUnique = 64 << 10
	// MaxHandle is the longest handle, in bytes, including the NUL that ends it in C programs.
	MaxHandle = 64
	// maxDigits is the length of the longest number in a handle; no server reaches it.
	maxDigits = 19
	// MaxClientID is how many bytes of SET_CLIENT_ID are kept.
	MaxClientID = 512
	// departedClientID is how many bytes of the client id of a departed worker are kept with its functions.
	departedClientID = 64
	// maxDepartures is for how many forgotten functions of a shard the last departed worker is remembered.
	maxDepartures = 16
	// maxSteered is how many functions may be paused or closed at a time.
	maxSteered = 4096
	// maxSettingBy and maxSettingReason are how many bytes are kept of who made a setting and why.
	maxSettingBy     = 256
	maxSettingReason = 1000
	// MaxStatusNumber is how many bytes of each number of WORK_STATUS are kept for GET_STATUS. Relayed packets
	// are not cut.
	MaxStatusNumber = 64
	// MaxEcho is how many bytes of a bad packet an error text repeats.
	MaxEcho = 8 << 10
	// MaxAbilities is how many functions one worker may register: a GRAB_JOB that finds no job looks at all of
	// them while others wait.
	MaxAbilities = 16 << 10
	// MaxListeners is how many submissions may join a job that has a listener: each of them gets a copy of every
	// packet of its worker.
	MaxListeners = 64 << 10
	// joinedTurn is how many of them are looked at for ended ones when a connection asks for more than MaxJoins.
	joinedTurn = 64
	// MaxJoins is how many joined jobs one connection may listen to; a job counts as often as it was joined.
	MaxJoins = 16 << 10
	// wideJob is the number of listeners from which on packets of a job are sent by a Fan instead of in one
	// call.
	wideJob = 64
	// MaxWaiters is how many background submissions may wait for one job to be stored, beside the one that
	// created it: all are answered at once, which takes a few milliseconds.
	MaxWaiters = 16 << 10
	// MaxDoing is how many jobs one worker may have in hand: it may give up all of them with one packet.
	MaxDoing = 16 << 10
	// oldestOf is among how many jobs of a worker the oldest is looked for, when it is shown.
	oldestOf = 4096
	// askedExact is how exactly it is known when a worker has asked last.
	askedExact = time.Millisecond
	// callJobs is how many jobs one call ends, drops or takes from a worker, worth some hundred microseconds;
	// the call is repeated for the rest (Effects.Again).
	callJobs = 256
	// callAbilities is how many functions one call removes a worker from; the call is repeated for the rest. Forgetting a
	// function takes some three microseconds, so a call takes some two hundred.
	callAbilities = 64
	// callHash is how many bytes of an argument one call hashes.
	callHash = 256 << 10
	// askedChain is how many jobs with the same unique id GET_STATUS_UNIQUE examines to find one that the peer
	// may see.
	askedChain = 64
	// callSleepers is how many entries one call removes from a function's sleepers.
	callSleepers = 1024
	// Units of Effects.Work. Each of these amounts costs as much as an ordinary packet: abilities looked at,
	// functions locked one after the other, jobs of a worker looked at, packets or bytes sent, bytes hashed.
	workAbilities = 64
	workLocks     = 8
	workDoing     = 32
	workPackets   = 4
	workBytes     = 4 << 10
	workHash      = 512
	// workFunction is the Work of a CAN_DO that creates its function.
	workFunction = 2
	// releaseTurn is how many due jobs are queued under one lock; the rest follow in the next turn.
	releaseTurn = 1000
	// shelveTurn is how many shelved jobs are queued under one lock when a lease is renewed.
	shelveTurn = 1000
	// retainedPackets is the capacity, in packets, that Effects keep for reuse.
	retainedPackets = 4096
	// maxLate is how many results of timed-out jobs are remembered as owed by a worker. Further late results are
	// answered like those for an unknown handle.
	maxLate = 1024
	// latestDue is the last second at which a job may be due, in 2262: the last that a store can represent. A
	// later time is replaced by it, so that it is the same after a restart.
	latestDue = store.LatestDue
	// maxTimeout is the longest effective CAN_DO_TIMEOUT.
	maxTimeout = 10 * 365 * 24 * time.Hour

	// maxKept is how many unused functions of a shard persist, in a dialect where they do: peers choose the
	// names.
	maxKept = 256

	// shardCount is the number of locks for functions. It is far above the number of cores, so that two loops
	// rarely meet, and small enough to visit all for a status. Numbers of stored jobs depend on it, so it cannot
	// change.
	shardCount = store.Shards

	// cacheLines is the distance in bytes that keeps cores which write to one object from slowing those that use
	// the next: two cache lines, because many processors fetch them in pairs.
	cacheLines = 128

	// What the scheduler's own structures are charged to the memory budget, in bytes: at least what they take on
	// a 64-bit machine, including the maps that hold them.
	costJob      = 320
	costUnique   = 144
	costListener = 48  // with its entry in Peer.joined
	costWaiter   = 64  // with its place in the connection's output
	costFunction = 832 // with its counters and its last departure
	costAbility  = 192
)
