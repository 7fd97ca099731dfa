package admin

import "gearloop/sched"

// Table is an answer that may be long. It is produced a step at a time, as the peer reads it: each looks at about
// a hundred rows, takes some ten microseconds and adds 16 KiB at most, but for its last row. So no
// event loop is held up by it, and hardly more of it is in memory than the peer is about to read.
//
// A row tells how things are when its step comes. What is there from the first step to the last has exactly one row;
// what begins or ends on the way may have one or none. The last line is ".", as ever.
//
// One goroutine may use a table at a time, any. It may be given up at any time.
type Table struct {
	rows interface {
		next(dst []byte) (out []byte, looked int, more bool)
		size() int
	}
}

// Next takes a step: it appends rows to dst, which may be none. more says whether to go on. cost is how long
// it took, in short rows: that is a few hundred nanoseconds. It is the same each time, unlike a clock.
func (t *Table) Next(dst []byte) (out []byte, cost int, more bool) {
	out, looked, more := t.rows.next(dst)
	return out, max(looked, (len(out)-len(dst))/rowBytes, leastCost), more
}

// Size is how much memory the table holds, in bytes. It may change with each step.
func (t *Table) Size() int { return tableSize + t.rows.size() }

const (
	// tableSize is what a table takes that is not begun, and its place in the output, in bytes.
	tableSize = 1 << 10
	// rowBytes is how much text takes as long as a short row, and leastCost what a step costs at least.
	rowBytes  = 128
	leastCost = 8
	// stepBytes is from where on a step adds no more rows, in bytes.
	stepBytes = 16 << 10
)

// walk goes through what there is of one kind, see the scheduler's walks.
type walk[T any] interface {
	Next(dst []T) (found []T, more bool)
	Size() int
	Looked() int
}

// rows has a row for everything that a walk comes by.
type rows[T any] struct {
	// begin returns the walk, when its time has come: a peer may ask for thousands of tables at a time.
	begin func() walk[T]
	// part appends the nth part of a row, and says whether there are more.
	part func(dst []byte, of *T, n int) (out []byte, more bool)

	walk   walk[T]
	batch  []T // what the walk came by last; those before at are told
	at     int
	parts  int  // of the row of batch[at] that are told
	walked bool // to the end
}

func (r *rows[T]) next(dst []byte) (out []byte, looked int, more bool) {
	if r.walk == nil {
		r.walk = r.begin()
	}
	if r.at == len(r.batch) && !r.walked {
		r.at = 0
		r.batch, more = r.walk.Next(r.batch[:0])
		r.walked, looked = !more, r.walk.Looked()
	}
	for begin := len(dst); r.at < len(r.batch) && len(dst)-begin < stepBytes; {
		if dst, more = r.part(dst, &r.batch[r.at], r.parts); more {
			r.parts++
			continue
		}
		r.at, r.parts = r.at+1, 0
	}
	if r.at < len(r.batch) || !r.walked {
		return dst, looked, true
	}
	return append(dst, end...), looked, false
}

func (r *rows[T]) size() int {
	if r.walk == nil {
		return 0
	}
	return r.walk.Size()
}

// end is the last line of every table.
const end = ".\n"

// eachPeer makes the answer a table with a row for each connection, like the next three for others.
func (c *call) eachPeer(part func(dst []byte, p *sched.PeerInfo, n int) (out []byte, more bool)) {
	s := c.Sched
	c.table = &Table{&rows[sched.PeerInfo]{begin: func() walk[sched.PeerInfo] { return s.WalkPeers() }, part: part}}
}

func (c *call) eachFunction(part func(dst []byte, f *sched.FunctionInfo, n int) (out []byte, more bool)) {
	s := c.Sched
	c.table = &Table{&rows[sched.FunctionInfo]{begin: func() walk[sched.FunctionInfo] { return s.WalkFunctions() }, part: part}}
}

func (c *call) eachJob(part func(dst []byte, j *sched.JobInfo, n int) (out []byte, more bool)) {
	s := c.Sched
	c.table = &Table{&rows[sched.JobInfo]{begin: func() walk[sched.JobInfo] { return s.WalkJobs() }, part: part}}
}

func (c *call) eachClient(part func(dst []byte, i *sched.ClientInfo, n int) (out []byte, more bool)) {
	s := c.Sched
	c.table = &Table{&rows[sched.ClientInfo]{begin: func() walk[sched.ClientInfo] { return s.WalkClients() }, part: part}}
}
