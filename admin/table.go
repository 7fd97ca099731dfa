package admin

import "gearloop/sched"

// Table is an answer that may be long. It is produced in steps, as fast as the peer reads. A step looks at
// about a hundred rows, takes some ten microseconds and appends up to 16 KiB and the rest of a row. So a
// table does not hold up an event loop, and little more of it is in memory than the peer is about to read.
//
// A row shows its object at the time of its step. An object that exists from the first step to the last has
// exactly one row; one that is created or removed in between may have none. The last line is ".".
//
// Any goroutine may use a table, but only one at a time. A table may be abandoned at any time.
type Table struct {
	rows interface {
		next(dst []byte) (out []byte, looked int, more bool)
		size() int
	}
}

// Next appends the rows of one step to dst, possibly none. more says whether there are further steps. cost
// estimates the work in short rows, a few hundred nanoseconds each. It is counted, not timed, so it is
// deterministic.
func (t *Table) Next(dst []byte) (out []byte, cost int, more bool) {
	out, looked, more := t.rows.next(dst)
	return out, max(looked, (len(out)-len(dst))/rowBytes, leastCost), more
}

// Size returns how much memory the table holds, in bytes. Each step may change it.
func (t *Table) Size() int { return tableSize + t.rows.size() }

const (
	// tableSize is the memory of a table before its first step, with its entry in the output, in bytes.
	tableSize = 1 << 10
	// rowBytes is the number of bytes of text that cost as much as a short row. leastCost is the least cost of a
	// step.
	rowBytes  = 128
	leastCost = 8
	// stepBytes is the number of bytes after which a step appends no further row.
	stepBytes = 16 << 10
)

// walk is one of the scheduler's walks.
type walk[T any] interface {
	Next(dst []T) (found []T, more bool)
	Size() int
	Looked() int
}

// rows produces a row for each object of a walk.
type rows[T any] struct {
	// begin returns the walk. It is called in the first step, because a peer may ask for thousands of tables at
	// once.
	begin func() walk[T]
	// part appends the nth part of a row; more says whether there are further parts.
	part func(dst []byte, of *T, n int) (out []byte, more bool)

	walk   walk[T]
	batch  []T // objects of the walk's last step; the rows of those before at are written
	at     int
	parts  int  // of the row of batch[at] that are written
	walked bool // the walk has ended
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

// eachPeer makes the answer a table with a row for each connection; the next three do so for other objects,
// but for functions that the peer may not see and their jobs.
func (c *call) eachPeer(part func(dst []byte, p *sched.PeerInfo, n int) (out []byte, more bool)) {
	s := c.Sched
	c.table = &Table{&rows[sched.PeerInfo]{begin: func() walk[sched.PeerInfo] { return s.WalkPeers() }, part: part}}
}

func (c *call) eachFunction(part func(dst []byte, f *sched.FunctionInfo, n int) (out []byte, more bool)) {
	s := c.Sched
	seen := func(dst []byte, f *sched.FunctionInfo, n int) (out []byte, more bool) {
		if !c.sees(f.Name) {
			return dst, false
		}
		return part(dst, f, n)
	}
	c.table = &Table{&rows[sched.FunctionInfo]{begin: func() walk[sched.FunctionInfo] { return s.WalkFunctions() }, part: seen}}
}

func (c *call) eachJob(part func(dst []byte, j *sched.JobInfo, n int) (out []byte, more bool)) {
	s := c.Sched
	seen := func(dst []byte, j *sched.JobInfo, n int) (out []byte, more bool) {
		if !c.sees(j.Function) {
			return dst, false
		}
		return part(dst, j, n)
	}
	c.table = &Table{&rows[sched.JobInfo]{begin: func() walk[sched.JobInfo] { return s.WalkJobs() }, part: seen}}
}

func (c *call) eachClient(part func(dst []byte, i *sched.ClientInfo, n int) (out []byte, more bool)) {
	s := c.Sched
	c.table = &Table{&rows[sched.ClientInfo]{begin: func() walk[sched.ClientInfo] { return s.WalkClients() }, part: part}}
}
