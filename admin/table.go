package admin

// Table is an answer that may be long. It is produced a step at a time, as the peer reads it: each looks at about
// a hundred rows, takes some ten microseconds and adds 16 KiB at most, but for its last row. So no
// event loop is held up by it, and hardly more of it is in memory than the peer is about to read.
//
// A row tells how things are when its step comes. What is there from the first step to the last has exactly one row;
// what begins or ends on the way may have one or none. The last line is ".", as ever.
//
// One goroutine may use a table at a time, any. It may be given up at any time.
type Table struct {
	step   func(dst []byte) (out []byte, more bool)
	held   func() int
	looked func() int // at how much, in the last step
}

// Next takes a step: it appends rows to dst, which may be none. more says whether to go on. cost is how long
// it took, in short rows: that is a few hundred nanoseconds. It is the same each time, unlike a clock.
func (t *Table) Next(dst []byte) (out []byte, cost int, more bool) {
	out, more = t.step(dst)
	return out, max(t.looked(), (len(out)-len(dst))/rowBytes, leastCost), more
}

// Size is how much memory the table holds, in bytes. It may change with each step.
func (t *Table) Size() int { return tableSize + t.held() }

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

// rows makes the answer a table: of everything that a walk comes by a row, in one or several parts.
// part appends the nth part of a row and says whether there are more.
func rows[T any](c *call, w walk[T], part func(dst []byte, of *T, n int) (out []byte, more bool)) {
	var batch []T // what the walk came by last; those before at are told
	at, parts, looked, walking := 0, 0, 0, true
	c.table = &Table{held: w.Size, looked: func() int { return looked }, step: func(dst []byte) ([]byte, bool) {
		looked = 0
		if at == len(batch) && walking {
			at = 0
			batch, walking = w.Next(batch[:0])
			looked = w.Looked()
		}
		for begin := len(dst); at < len(batch) && len(dst)-begin < stepBytes; {
			var more bool
			if dst, more = part(dst, &batch[at], parts); more {
				parts++
				continue
			}
			at, parts = at+1, 0
		}
		if at < len(batch) || walking {
			return dst, true
		}
		return append(dst, end...), false
	}}
}

// end is the last line of every table.
const end = ".\n"
