package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math"

	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
)

// scanned is the result of reading a segment.
type scanned struct {
	good     int64  // end of the readable records
	size     int64  // end of the last byte that is not zero, if behind good
	file     int64  // size of the file
	promised int64  // bytes that were synced, according to its own batches
	highest  uint64 // highest order of a job in it or in an earlier segment
	reason   error  // why reading stopped at good; nil at the end of the file
	gaps     []gap  // the unreadable parts, the first at good
}

// gap is an unreadable part of a segment.
type gap struct {
	from, to      int64  // to is 0 if nothing behind it is readable
	before, after uint64 // orders of jobs before and behind it; after is 0 if nothing newer was read
}

// gap returns the gap behind which nothing newer has been read yet, or nil.
func (s *scanned) gap() *gap {
	if n := len(s.gaps); n > 0 && (s.gaps[n-1].to == 0 || s.gaps[n-1].after == 0) {
		return &s.gaps[n-1]
	}
	return nil
}

// reading says how to read a segment.
type reading struct {
	highest uint64 // highest order of a job in an earlier segment
	limit   int64  // records from here on do not count
	salvage bool   // also visit what is behind an unreadable record
	// visit is called with the offset of a record and each of its entries.
	visit func(at int64, e *entry) error
}

const noLimit = math.MaxInt64

// scan reads a segment and visits each entry up to the first unreadable record. From what follows it collects
// how much was synced. The error comes from the file system or from visit.
func scan(fs vfs.FS, path string, how reading) (s scanned, err error) {
	s.highest = how.highest
	f, err := fs.Open(path, vfs.SequentialReadsOption)
	if err != nil {
		return s, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return s, err
	}
	size := info.Size()
	s.size, s.file = size, size
	intact := true
	var buf []byte
	for start := int64(0); start < min(size, how.limit); {
		in, base, err := readerAt(f, start, size)
		if err != nil {
			return s, err
		}
		var at int64
		var bad error
		for bad == nil {
			if at = base + in.Offset(); at >= how.limit {
				bad = io.EOF
			} else if buf, bad = readRecord(in, buf[:0]); bad == nil {
				if bad, err = s.batch(at, buf, intact, &how); err != nil {
					return s, err
				}
			}
		}
		if bad != io.EOF && !unreadable(bad) {
			return s, bad
		}
		if bad != io.EOF && intact {
			if s.size, err = lastByte(f, at, size); err != nil {
				return s, err
			}
			if s.size == at {
				bad = io.EOF // the rest is preallocated
			}
		}
		if intact {
			s.good, intact = at, false
			if bad != io.EOF {
				s.reason = bad
			}
		}
		if g := s.gap(); bad != io.EOF && (g == nil || g.to != 0) {
			s.gaps = append(s.gaps, gap{from: at, before: s.highest})
		}
		if bad == io.EOF {
			break
		}
		if start, err = behind(f, max(at, start)); err != nil {
			return s, err
		}
	}
	return s, nil
}

// lastByte returns the end of the last byte that is not zero, from an offset on; the offset if there is none.
func lastByte(f vfs.File, from, size int64) (int64, error) {
	end := from
	buf := make([]byte, blockSize)
	for at := from; at < size; {
		n, err := f.ReadAt(buf[:min(blockSize, size-at)], at)
		if n == 0 && err != nil {
			return end, err
		}
		if i := len(bytes.TrimRight(buf[:n], "\x00")); i > 0 {
			end = at + int64(i)
		}
		at += int64(n)
	}
	return end, nil
}

// headerSize is the size of package record's chunk header: a checksum, the chunk's length and its kind.
const headerSize = 4 + 2 + 1

// readerAt returns a reader that starts with the chunk at an offset, and the base to add to its own offsets.
func readerAt(f vfs.File, start, size int64) (in *record.Reader, base int64, err error) {
	rest := io.NewSectionReader(f, start, size-start)
	inBlock := start % blockSize
	if inBlock == 0 {
		return record.NewReader(rest, 0), start, nil
	}
	// The reader assumes that its input starts at the beginning of a block, so it is first given a record that
	// fills the block up to the chunk.
	var before bytes.Buffer
	if _, err := record.NewWriter(&before).WriteRecord(make([]byte, inBlock-headerSize)); err != nil {
		return nil, 0, err
	}
	in = record.NewReader(io.MultiReader(&before, rest), 0)
	_, err = in.Next()
	return in, start - inBlock, err
}

// behind returns where to continue after damage at an offset: at the next intact chunk of the block, or at
// the next block.
func behind(f vfs.File, at int64) (int64, error) {
	rest := make([]byte, blockSize-at%blockSize)
	n, err := f.ReadAt(rest, at)
	if err != nil && err != io.EOF {
		return 0, err
	}
	for i := headerSize; i < n; i++ {
		if isChunk(rest[i:n]) {
			return at + int64(i), nil
		}
	}
	return at + int64(len(rest)), nil
}

// isChunk reports whether b begins with a chunk of package record whose checksum matches.
func isChunk(b []byte) bool {
	const kinds = 4
	if len(b) < headerSize || b[6] == 0 || b[6] > kinds {
		return false
	}
	end := headerSize + int(binary.LittleEndian.Uint16(b[4:]))
	if end > len(b) {
		return false
	}
	sum := crc32.Checksum(b[6:end], castagnoli)
	return binary.LittleEndian.Uint32(b) == (sum>>15|sum<<17)+0xa282ead8
}

// readRecord appends the next record to b.
func readRecord(in *record.Reader, b []byte) ([]byte, error) {
	r, err := in.Next()
	if err != nil {
		return b, err
	}
	for {
		if len(b) == cap(b) {
			b = append(b, make([]byte, max(4096, len(b)))...)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
}

// unreadable reports whether the error concerns the content, not the file system.
func unreadable(err error) bool {
	return errors.Is(err, errEntry) || errors.Is(err, record.ErrInvalidChunk) ||
		errors.Is(err, record.ErrZeroedChunk) || errors.Is(err, record.ErrUnexpectedEOF)
}

// batch decodes a record. bad reports that it is malformed, err is visit's.
func (s *scanned) batch(at int64, b []byte, intact bool, how *reading) (bad, err error) {
	if len(b) < batchHeader {
		return errEntry, nil
	}
	s.promised = max(s.promised, int64(leUint64(b)))
	if g := s.gap(); g != nil && g.to == 0 {
		g.to = at
	}
	for rest := b[batchHeader:]; len(rest) > 0; {
		var e entry
		if e, rest, bad = cutEntry(rest); bad != nil {
			return bad, nil
		}
		switch {
		case e.kind == kindBegin:
			continue
		case e.kind == kindJob:
			if g := s.gap(); g != nil && g.after == 0 && e.order > g.before {
				g.after = e.order
			}
			s.highest = max(s.highest, e.order)
		}
		if how.visit != nil && (intact || how.salvage) {
			if err := how.visit(at, &e); err != nil {
				return nil, err
			}
		}
	}
	return nil, nil
}

// readBegin returns the first entry of a segment; its kind is 0 if unreadable.
func readBegin(fs vfs.FS, path string) (e entry, err error) {
	f, err := fs.Open(path)
	if err != nil {
		return e, err
	}
	defer f.Close()
	b, err := readRecord(record.NewReader(f, 0), nil)
	switch {
	case err == io.EOF, unreadable(err):
		return e, nil
	case err != nil:
		return e, err
	}
	if len(b) < batchHeader {
		return e, nil
	}
	e, rest, err := cutEntry(b[batchHeader:])
	if err != nil || e.kind != kindBegin {
		return entry{}, nil
	}
	if mark, _, err := cutEntry(rest); err == nil && mark.kind == kindEnd && mark.number == store.RunMark(store.RunOf(mark.number)) {
		e.run, e.named = store.RunOf(mark.number), true
	}
	return e, nil
}
