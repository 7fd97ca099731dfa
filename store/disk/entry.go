package disk

import (
	"encoding/binary"
	"errors"

	"gearloop/store"
)

// kind is the type of an entry, with its number on disk.
type kind uint8

const (
	kindJob    kind = 1
	kindEnd    kind = 2
	kindUpdate kind = 3 // of retries and, with a prefix, of the priority
	kindBegin  kind = 4 // the first entry of each segment
)

const (
	batchHeader = 8 // size of the field for how much of the segment was synced before the batch
	// The fixed part of a job's entry: kind, number, order, due, retries, priority, flags. Four lengths and the
	// bytes follow.
	fixedJob   = 1 + 8 + 8 + 8 + 2 + 1 + 1
	retriesAt  = 1 + 8 + 8 + 8
	priorityAt = retriesAt + 2
	endSize    = 1 + 8
	updateSize = 1 + 8 + 2
	beginSize  = 1 + 8 + 8 + 8 + 8 + 8

	flagLarge = 1 // the argument is in a file of its own

	// priorityMark in place of a job's number says that the entry is the prefix of the next one: where the
	// retries would be stands the priority. Earlier versions of the program read it as the retries of a job that
	// they do not know, and ignore it: there the job has the priority with which it was submitted.
	priorityMark = 1<<64 - 1
)

var errEntry = errors.New("malformed entry")

// entry is a decoded entry. Its byte slices alias the input.
type entry struct {
	kind   kind
	number uint64

	order                               uint64
	due                                 int64
	retries                             uint16
	priority                            store.Priority
	prioritized                         bool // of an update: it has a priority
	large                               bool
	function, unique, reducer, argument []byte
	size                                int    // of the argument, even if that is in a file
	raw                                 []byte // of a job: the whole entry

	previous   uint64 // the preceding segment; 0 = none
	promised   int64  // bytes of it that were synced
	end        int64  // bytes of it that count: the rest was refused, or is repeated here
	generation uint64
	run        uint64 // the last run opened before the segment was begun; 0 in segments of earlier versions
	nextOrder  uint64
	named      bool // the segment was complete before it got its name
}

// appendJob appends a job's entry; a large argument of size bytes is left out.
func appendJob(b []byte, job *store.Job, order uint64, size int, large bool) []byte {
	le := binary.LittleEndian
	b = append(b, byte(kindJob))
	b = le.AppendUint64(b, job.Number)
	b = le.AppendUint64(b, order)
	b = le.AppendUint64(b, uint64(job.Due))
	b = le.AppendUint16(b, job.Retries)
	b = append(b, byte(job.Priority), 0)
	if large {
		b[len(b)-1] = flagLarge
	}
	b = binary.AppendUvarint(b, uint64(len(job.Function)))
	b = binary.AppendUvarint(b, uint64(len(job.Unique)))
	b = binary.AppendUvarint(b, uint64(len(job.Reducer)))
	b = binary.AppendUvarint(b, uint64(size))
	b = append(b, job.Function...)
	b = append(b, job.Unique...)
	b = append(b, job.Reducer...)
	if !large {
		for _, piece := range job.Argument {
			b = append(b, piece...)
		}
	}
	return b
}

func appendEnd(b []byte, number uint64) []byte {
	return binary.LittleEndian.AppendUint64(append(b, byte(kindEnd)), number)
}

func appendUpdate(b []byte, u *update) []byte {
	if u.prioritized {
		b = binary.LittleEndian.AppendUint64(append(b, byte(kindUpdate)), priorityMark)
		b = binary.LittleEndian.AppendUint16(b, uint16(u.priority))
	}
	b = binary.LittleEndian.AppendUint64(append(b, byte(kindUpdate)), u.number)
	return binary.LittleEndian.AppendUint16(b, u.retries)
}

// patchJob replaces retries and priority in a job's entry at the beginning of b.
func patchJob(b []byte, retries uint16, priority store.Priority) {
	binary.LittleEndian.PutUint16(b[retriesAt:], retries)
	b[priorityAt] = byte(priority)
}

// appendBegin appends the first entry of a segment. The end of a job that never existed, whose number is the
// mark of the run, records the run, and that the segment was complete before it got its name (see
// makeSegment). Earlier versions of the program did not write it, and ignore it.
func appendBegin(b []byte, previous uint64, promised, end int64, generation, run, nextOrder uint64) []byte {
	b = binary.LittleEndian.AppendUint64(append(b, byte(kindBegin)), previous)
	b = binary.LittleEndian.AppendUint64(b, uint64(promised))
	b = binary.LittleEndian.AppendUint64(b, uint64(end))
	b = binary.LittleEndian.AppendUint64(b, generation)
	b = binary.LittleEndian.AppendUint64(b, nextOrder)
	return appendEnd(b, store.RunMark(run))
}

// append appends a decoded entry.
func (e *entry) append(b []byte) []byte {
	switch e.kind {
	case kindJob:
		return append(b, e.raw...)
	case kindEnd:
		return appendEnd(b, e.number)
	case kindUpdate:
		return appendUpdate(b, &update{e.number, e.retries, e.priority, e.prioritized})
	}
	return b
}

// cutEntry decodes the first entry of b and returns the rest.
func cutEntry(b []byte) (e entry, rest []byte, err error) {
	if len(b) < endSize {
		return e, nil, errEntry
	}
	le := binary.LittleEndian
	e.kind, e.number = kind(b[0]), le.Uint64(b[1:])
	switch e.kind {
	case kindEnd:
		return e, b[endSize:], nil
	case kindUpdate:
		return cutUpdate(e, b)
	case kindBegin:
		if len(b) < beginSize {
			return e, nil, errEntry
		}
		e.previous, e.promised, e.end = e.number, int64(le.Uint64(b[9:])), int64(le.Uint64(b[17:]))
		e.generation, e.nextOrder = le.Uint64(b[25:]), le.Uint64(b[33:])
		return e, b[beginSize:], nil
	case kindJob:
		return cutJob(e, b)
	}
	return e, nil, errEntry
}

func cutUpdate(e entry, b []byte) (entry, []byte, error) {
	if len(b) < updateSize {
		return e, nil, errEntry
	}
	value, rest := binary.LittleEndian.Uint16(b[endSize:]), b[updateSize:]
	if e.number != priorityMark {
		e.retries = value
		return e, rest, nil
	}
	next, rest, err := cutEntry(rest)
	if err != nil || next.kind != kindUpdate || next.prioritized || value > uint16(store.Low) {
		return e, nil, errEntry
	}
	next.priority, next.prioritized = store.Priority(value), true
	return next, rest, nil
}

func cutJob(e entry, b []byte) (entry, []byte, error) {
	if len(b) < fixedJob {
		return e, nil, errEntry
	}
	le := binary.LittleEndian
	e.order, e.due, e.retries = le.Uint64(b[9:]), int64(le.Uint64(b[17:])), le.Uint16(b[retriesAt:])
	e.priority, e.large = store.Priority(b[priorityAt]), b[priorityAt+1]&flagLarge != 0
	rest := b[fixedJob:]
	var lengths [4]int
	for i := range lengths {
		n, used := binary.Uvarint(rest)
		if used <= 0 || n > store.MaxArgument {
			return e, nil, errEntry
		}
		lengths[i], rest = int(n), rest[used:]
	}
	e.size = lengths[3]
	if e.large {
		lengths[3] = 0
	}
	for i, to := range [...]*[]byte{&e.function, &e.unique, &e.reducer, &e.argument} {
		if lengths[i] > len(rest) {
			return e, nil, errEntry
		}
		*to, rest = rest[:lengths[i]:lengths[i]], rest[lengths[i]:]
	}
	e.raw = b[:len(b)-len(rest)]
	return e, rest, nil
}
