package reactor

import "time"

// Every bound and size of the reactor that is not an option, with its reason.
const (
	// readSize is how many bytes one read asks for: the Perl server's 60 KiB, rounded up to a size that gnet
	// supports.
	readSize = 64 << 10
	// aheadSize is the smallest frame, in bytes, after which a connection is expected to send another one like it
	// (ahead.go). Copying a smaller one costs no more than a payload that is reserved in vain.
	aheadSize = 16 << 10
	// aheadVain is after how many reads in a row without the expected frame none is expected any more.
	aheadVain = 4
	// behindSize is how many bytes are read behind the data of a frame where another large one is expected: enough
	// for the requests that follow a result.
	behindSize = 512
	// readTurn is how many bytes one connection may read before others have their turn.
	readTurn = 512 << 10
	// acknowledged is from how many bytes on that one connection sent in a turn the system acknowledges them by
	// itself: two segments of loopback.
	acknowledged = 128 << 10
	// readItems ends a connection's turn, in packets, lines and sched.Effects.Work: about two hundred
	// microseconds.
	readItems = 500
	// A turn is crowded once it has cost crowdedTurn, in the same unit, or has taken crowdedTime, which usually comes
	// first. The cost is rough: a packet of a new function takes several times as long as another one, accepting or
	// closing a socket some fifty times, and everything takes longer when processors are short. crowdedTime is short
	// because a job takes three or four turns.
	crowdedTurn = 4096
	crowdedTime = 500 * time.Microsecond
	// crowdedItems is how much each further connection gets of a crowded turn. Otherwise a hundred connections that
	// declare a thousand functions each would keep all others waiting for a tenth of a second.
	crowdedItems = 16
	// crowdedRead is how many bytes of such a connection are read at once, besides the data of a large frame: what is
	// read and not handled is copied. Over TLS it is a record.
	crowdedRead   = 2 << 10
	crowdedRecord = recordSize + 1<<10
	// crowdedSockets is how many connections a loop accepts from a listener in a crowded turn, over both looks, and how
	// many a house closes, at least one per loop. It closes no more while more connections are ready than a look
	// reports: the others wait behind those that have ended, and to find out that one has ended takes less time than
	// its peer needs to close it.
	crowdedSockets = 4
	// waitingItems is how much of one connection's waiting input is handled before the next one's. waitingTime is how
	// long a loop handles waiting input in a turn; at least one connection gets its share.
	waitingItems = 64
	waitingTime  = 250 * time.Microsecond
	// rescueSize is how many bytes of a peer's input are still read when its connection breaks: more than the
	// kernel usually buffers.
	rescueSize = 8 << 20
	// looks is how often a loop looks for events in a turn.
	looks = 2
	// lookEvents is how many events a loop takes at each look, and leavingEvents how many while ended connections wait to
	// be closed: most ready connections have ended too then, and finding that out takes as long as some packets.
	lookEvents    = 128
	leavingEvents = 32
	// lossesTurn is how many connections that have ended a loop closes in a turn at most: about a third of a
	// millisecond.
	lossesTurn = 32
	// lossesLook is how many connections must have ended since the last time for a loop to poll those that had input
	// last.
	lossesLook = leavingEvents
	// recentConns is how many it polls then. That takes some ten microseconds, a tenth of what it takes to find out
	// that lossesLook connections have ended.
	recentConns = 128
	// readClock is for how many connections of a turn the loop reads the clock once: that costs as much as a
	// packet, and so many connections with little input take some ten microseconds. With much input it is read after
	// readClockItems.
	readClock      = 8
	readClockItems = 256
	// acceptTurn is how many connections a loop accepts after each look at most: some hundred microseconds.
	acceptTurn = 16
	// lateFunctions is how many functions a worker may have whose GRAB_JOB* is handled at the end of a turn. They are
	// looked at twice then, and what that costs is known too late to shorten the turns of other connections.
	lateFunctions = 64
	// lookVain is how many second looks for a lone GRAB_JOB* may be in vain, one after the other, before there is
	// only one for each lookPause of them. A look costs half a microsecond, one that brings a job saves twenty.
	lookVain  = 32
	lookPause = 32
	// yieldPause is how long a loop that always has work keeps other goroutines from running in its place.
	yieldPause = 8 * time.Millisecond
	// lookEvery is how often a loop looks whether as many loops run as should.
	lookEvery = 100 * time.Millisecond
	// lodgerConns is with how many connections a loop does not lodge: the kernel walks all of them when one epoll
	// descriptor begins to watch another, which takes some 0.1 µs for each.
	lodgerConns = 10_000
	// broughtConns is how many connections the guests of a loop bring along: to watch them, and to leave that again,
	// takes some 0.3 µs for each.
	broughtConns = 1024
	// fullLoop is the share of its time from which on a loop is full. From goodLoop on more loops run when one is,
	// and when as many would have less than calmLoop to do, fewer do.
	fullLoop, goodLoop, calmLoop = 0.7, 0.6, 0.45
	// spareProcessor is how much of a processor must be idle for a further loop. Below shortProcessor the machine
	// is short of them, and loops wait for one rather than for work.
	spareProcessor, shortProcessor = 0.85, 0.5
	// tableTurn is the table budget of one turn, in Table.Next's cost units: 200 µs, or 400 µs with cold caches.
	tableTurn = 512
	// gatherSize is the size at which a buffer of gathered output is full, in bytes: large enough that a write
	// is worthwhile, small enough that growing it copies little.
	gatherSize = 64 << 10
	// shareSize is the size from which on a payload is written by reference instead of being copied into the
	// gathered output, in bytes.
	shareSize = 4 << 10
	// pieceCost is the memory of a piece of output besides its bytes.
	pieceCost = 128
	// placeCost is the memory of a reserved place besides the packet's bytes.
	placeCost = 128
	// aloneCalls is for how many calls output is written at once after only one connection was ready.
	aloneCalls = 32
	// maxVectors is how many pieces one write takes. (IOV_MAX is 1024, but more than this gains nothing.)
	maxVectors = 64
	// writeSize is how many bytes one write takes, and one connection in a turn: more gains nothing, and the
	// garbage collector waits for a write.
	writeSize = 1 << 20
	// writeTurn is how many bytes a loop writes in a turn to connections with much output: about half a
	// millisecond.
	writeTurn = 2 << 20
	// fanTurn is how much a loop sends to many listeners in a turn, in sched.Effects.Work: some hundred
	// microseconds, or two MiB.
	fanTurn = 512

	// acceptPause is how long a listener pauses after accept has failed, as in the Perl server.
	acceptPause = 100 * time.Millisecond
	// adminSlots is how many connections may exist beyond the limit if they are local and begin with a text
	// command, so that an administrator gets in when all slots are taken.
	adminSlots = 8
	// scarceSlots: slots are scarce when no more than this fraction (one of 8) is free.
	scarceSlots = 8
	// slotShare: while slots are scarce, a remote address gets no slot beyond this fraction (one of 2).
	slotShare = 2
	// maxRoom and minRoom bound the connections that wait for a slot, apart from those that acceptors hold, if
	// there are at least 512 descriptors: each takes a descriptor and 4 KiB.
	maxRoom = 4096
	minRoom = 8
	// roomShare is the fraction of the room (one of 4) that one address may use, or all of loopback, or all unix
	// sockets. Further connections of a remote address are closed; for the others acceptors wait.
	roomShare = 4
	// shortageTime is how long nobody must have waited before the log says that there are slots again.
	shortageTime = 5 * time.Second

	// maxProxied bounds the connections of proxies whose header has not come: each takes a descriptor and a
	// goroutine. Proxies send it at once.
	maxProxied = 256
	// ProxyPatience is how long a proxy may take to send it.
	ProxyPatience = 5 * time.Second
	// maxHandshakes bounds concurrent TLS handshakes: each needs a goroutine, and 10 KiB while its peer is
	// silent.
	maxHandshakes = 1024
	// maxActive bounds the handshakes whose peer has begun to speak: each may need half a MiB if the peer's
	// certificates are large.
	maxActive = 256
	// activeShare is the fraction of these (one of 4) that one address may have. Its others wait.
	activeShare = 4
	// silentTime is how long a peer may stay completely silent while others wait to begin a handshake.
	silentTime = 250 * time.Millisecond
	// handshakeTime is how long the server waits for a peer during its whole handshake.
	handshakeTime = 10 * time.Second
	// hurriedHandshakeTime replaces it while half of maxActive, or of the address's share, is in use.
	hurriedHandshakeTime = time.Second
	// alertTime is how long a peer may take to read the alert about its failed handshake.
	alertTime = time.Second
	// recordSize is the largest content of a TLS record, in bytes.
	recordSize = 16 << 10
	// sealSize is how many bytes of a connection's output are encrypted ahead of what its socket accepts.
	sealSize = 64 << 10
	// deadShare is how often, within --dead-peer-after, a loop checks for peers whose machine does not answer.
	deadShare = 8
	// deadPause is the shortest time between two of these checks.
	deadPause = 250 * time.Millisecond
	// deadTurn is how many connections such a check examines in a turn, about a microsecond each.
	deadTurn = 256
	// reviewTurn is how many connections a loop examines in a turn after rights have changed.
	reviewTurn = 256
	// lingerTime is how long a peer may take to read its error before its connection is closed.
	lingerTime = 5 * time.Second
	// skipTime replaces it while the rest of a refused packet is skipped.
	skipTime = 30 * time.Second
	// quietTime is the pause of the peer after which skipping ends.
	quietTime = 500 * time.Millisecond
	// logPause is the shortest time between two log lines of one kind about peers' faults.
	logPause = 10 * time.Second
	// halfClosedTime is how long a peer that has shut down its sending side may take for the next piece of
	// output.
	halfClosedTime = 30 * time.Second
	// maxHalfClosed bounds these connections: each needs a goroutine.
	maxHalfClosed = 1024
	// maxFetches is how many stored arguments are read at a time: a disk serves several reads faster together,
	// and a small argument does not wait for all of a large one.
	maxFetches = 8
	// fetchPause is how often a stored argument checks for room.
	fetchPause = 5 * time.Millisecond
	// fetchWait is how long a stored argument waits for room. Then it is read regardless, one at a time, beyond
	// the share: a worker must not wait for other peers to read.
	fetchWait = time.Second
	// drainReport is how often a draining server logs what it waits for, and drops jobs that nobody wants any
	// more.
	drainReport = 10 * time.Second
	// leastTransit is of how many bytes of --max-memory at least what may be in transit is a part.
	leastTransit = 4 << 20
	// stallTime is how long a peer may make no progress with what it has in transit while others wait for
	// memory. It is longer than a busy machine delays a process.
	stallTime = 2 * time.Second
	// stallShares: a peer that would need longer than this many times stallTime for what it has in transit makes
	// no progress.
	stallShares = 16
	// uploadTime is how long a peer may pause inside a packet, even without pressure.
	uploadTime = time.Minute
	// sweepPause is how often that is checked.
	sweepPause = 5 * time.Second
	// crowdLook is how many waiting connections are examined at a time: a few tens of microseconds, in which other
	// loops must not add theirs.
	crowdLook = 64
	// headPause is how long the head may send nothing before another is the head, if there is room for two.
	headPause = 50 * time.Millisecond
	// beginTime is how long a peer that has begun a large packet may send nothing while others need the memory
	// that its beginning holds.
	beginTime = 250 * time.Millisecond
	// longLine is from where on the beginning of a text line counts like that of a large packet, in bytes.
	longLine = 1 << 10
	// readySize is how much a peer must have sent of its packet to be let read on, in bytes, or all of it.
	readySize = 16 << 10
	// pressurePause is how often, under pressure, connections are chosen to be closed or to read on.
	pressurePause = 10 * time.Millisecond
	// relieveTurn is how many connections of a loop lose what they hold at a time.
	relieveTurn = 16
	// idleSize is the output from which on a connection may be closed if too much is in transit although all
	// large ones make progress, in bytes.
	idleSize = 4 << 10
	// assuredSize is the output of one connection that is always buffered, whatever others have, in bytes.
	assuredSize = 64 << 10
	// flushTime is how long the ending server waits for peers to read what is buffered.
	flushTime = 5 * time.Second
	// descriptorsKept is how many descriptors are reserved for files and polling. Those of connections on their
	// way from a listener to a loop are added.
	descriptorsKept = 64
)
