package reactor

import "time"

// Every bound and size of the reactor that is not an option, with its reason.
const (
	// readSize is what is read from a socket at a time, in bytes: the reference's 60 KiB, rounded
	// up to what gnet can have.
	readSize = 64 << 10
	// readTurn is how much one connection may read before others have their turn, in bytes.
	readTurn = 512 << 10
	// readItems is after how many packets and lines, or work of the scheduler that costs as much, a connection's
	// turn is over: some two hundred microseconds.
	readItems = 500
	// rescueSize is how much of what a peer had sent is still read when its connection breaks, in bytes: more than
	// the kernel keeps of it as a rule.
	rescueSize = 8 << 20
	// eventsTurn is how many connections that are ready a loop serves in a turn.
	eventsTurn = 128
	// yieldPause is for how long a loop that is never without work lets no other goroutine run in its place.
	yieldPause = 8 * time.Millisecond
	// tableTurn is from where on a loop takes no more steps of tables in its turn, in what admin.Table.Next says
	// that they cost: two hundred microseconds, or four hundred when nothing is in the caches.
	tableTurn = 512
	// gatherSize is where a buffer of gathered output is full and another is begun: large enough
	// that a write is worth it, small enough that growing it copies little.
	gatherSize = 64 << 10
	// shareSize is from where a payload is written by reference instead of being copied into the
	// gathered output, in bytes.
	shareSize = 4 << 10
	// pieceCost is what a piece of output takes beside its bytes.
	pieceCost = 128
	// placeCost is what an answer takes that waits for the disk, beside its bytes.
	placeCost = 128
	// aloneCalls is for how many calls output is written at once after only one connection was
	// ready.
	aloneCalls = 32
	// maxVectors is how many pieces one write takes (IOV_MAX is 1024; more than this gains
	// nothing).
	maxVectors = 64
	// writeSize is how much one write takes, and one connection in a turn, in bytes: more gains nothing, and the
	// collector waits for it.
	writeSize = 1 << 20
	// writeTurn is from where on a loop writes no more to connections that have much output in its turn, in bytes:
	// about half a millisecond.
	writeTurn = 2 << 20
	// fanTurn is how much of what goes to many listeners is put into their output in a turn of a loop, in
	// sched.Effects.Work: some hundred microseconds, or two MiB.
	fanTurn = 512

	// acceptPause is for how long a listener rests when it can't accept, as in the reference.
	acceptPause = 100 * time.Millisecond
	// adminSlots is how many connections there may be beyond the limit, if they come from this machine and begin with
	// a text command: an administrator gets in when all slots are taken.
	adminSlots = 8
	// scarceSlots says when slots are scarce: when no more than one of so many is left.
	scarceSlots = 8
	// slotShare is the share of an address of another machine: one that has one of so many slots gets no more when they
	// are scarce.
	slotShare = 2
	// maxRoom and minRoom are how many connections may wait for a slot beside those that acceptors hold, with at least 512
	// descriptors: each takes one, and 4 KiB.
	maxRoom = 4096
	minRoom = 8
	// roomShare is the share of the room that one address may take, or loopback, or unix sockets: one of so many.
	// Further connections of an address of another machine are closed; for the others acceptors wait.
	roomShare = 4
	// shortageTime is how long nobody must have waited until it is logged that there are slots again.
	shortageTime = 5 * time.Second

	// maxProxied bounds the connections of proxies whose header has not come: each takes a descriptor and a goroutine.
	// Proxies send it at once.
	maxProxied = 256
	// headerTime is how long a proxy may take to send it.
	headerTime = 5 * time.Second
	// maxHandshakes bounds the TLS handshakes that go on at a time: each takes a goroutine, 10 KiB while its peer has
	// said nothing.
	maxHandshakes = 1024
	// maxActive bounds those among them whose peer has begun to speak: they take up to half a MiB, if the peer's
	// certificates are large.
	maxActive = 256
	// activeShare is the share of these places that one address may take: one of so many. Its others wait.
	activeShare = 4
	// silentTime is how long a peer may say nothing at all when others wait to begin a handshake.
	silentTime = 250 * time.Millisecond
	// handshakeTime is how long a peer may be waited for during its TLS handshake, all in all.
	handshakeTime = 10 * time.Second
	// hurriedHandshakeTime is the same while half of all places are taken, or of its address's share.
	hurriedHandshakeTime = time.Second
	// alertTime is how long a peer may take to read why its handshake failed.
	alertTime = time.Second
	// recordSize is how much a record of TLS holds, in bytes.
	recordSize = 16 << 10
	// sealSize is how much output of a connection is encrypted ahead of what its socket takes, in bytes.
	sealSize = 64 << 10
	// deadShare is how often a loop looks for peers whose machine does not answer: so many times while they may be
	// silent.
	deadShare = 8
	// deadPause is the least time between two looks.
	deadPause = 250 * time.Millisecond
	// deadTurn is how many connections a loop looks at before others have their turn, a microsecond each.
	deadTurn = 256
	// reviewTurn is the rights of how many connections a loop looks at, after these have changed, before others
	// have their turn.
	reviewTurn = 256
	// lingerTime is how long a connection that was told of its fault may take to read it.
	lingerTime = 5 * time.Second
	// skipTime is the same for one in the middle of a packet that is not taken.
	skipTime = 30 * time.Second
	// quietTime is after which pause of its peer such a connection ends.
	quietTime = 500 * time.Millisecond
	// logPause is the least time between two log lines about faults of peers, of one kind.
	logPause = 10 * time.Second
	// halfClosedTime is how long a peer that sends no more may take for the next piece of its output.
	halfClosedTime = 30 * time.Second
	// maxHalfClosed bounds the connections that are served that way at a time: each takes a
	// goroutine.
	maxHalfClosed = 1024
	// maxFetches is how many stored arguments are read at a time: a disk serves some reads together faster than one
	// after the other, and a small argument does not wait for all of a large one.
	maxFetches = 8
	// fetchPause is how often a stored argument looks for room in the share of output.
	fetchPause = 5 * time.Millisecond
	// fetchWait is how long a stored argument waits for room. After that it is read all the same, one at a time, and
	// may exceed the share: a worker must not wait for other peers to read.
	fetchWait = time.Second
	// drainReport is how often a server that waits for its last jobs says so, and forgets those that
	// nobody wants any more.
	drainReport = 10 * time.Second
	// leastTransit is of how many bytes of --max-memory at least what may be in transit is a part.
	leastTransit = 4 << 20
	// stallTime is how long a peer may make no progress with what it has in transit while others wait for memory.
	// It is longer than a busy machine keeps a process waiting.
	stallTime = 2 * time.Second
	// stallShares: whoever needs longer than so many times stallTime for what it has in transit makes no progress.
	stallShares = 16
	// uploadTime is how long a peer may stop in the middle of a packet, whether others wait or not.
	uploadTime = time.Minute
	// sweepPause is how often that is looked for.
	sweepPause = 5 * time.Second
	// crowdLook is how many of those that wait for room a loop looks at in vain.
	crowdLook = 64
	// headLooks is how many looks the head may send nothing before another is the head, if there is room for two.
	headLooks = 5
	// beginTime is how long a peer that has begun a large packet may send nothing while others need the memory that its
	// beginning holds.
	beginTime = 250 * time.Millisecond
	// longLine is from where on the beginning of a text line counts like that of a large packet, in bytes.
	longLine = 1 << 10
	// readySize is how much a peer must have sent of its packet to be let read on, in bytes, or all of it.
	readySize = 16 << 10
	// pressurePause is how often is looked, under pressure, who has to go and who may go on.
	pressurePause = 10 * time.Millisecond
	// relieveTurn is how many connections of a loop lose what they hold at a time.
	relieveTurn = 16
	// idleSize is the output from which on a connection counts when too much is in transit and all that hold much get
	// on, in bytes.
	idleSize = 4 << 10
	// assuredSize is the output of one connection that is always buffered, however much others have.
	assuredSize = 64 << 10
	// flushTime is how long the end of the server waits for peers to take what is buffered.
	flushTime = 5 * time.Second
	// descriptorsKept is how many descriptors are left for others than connections: files and
	// polling. Connections on their way from a listener to a loop come on top.
	descriptorsKept = 64
)
