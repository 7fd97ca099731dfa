package disk

import (
	"io"

	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// resume continues the newest segment of a directory, so that imports of a few jobs do not add a segment
// each. It reports whether that was possible: the segment must have been closed in order and have room, and
// nothing may have to be rewritten.
func (d *Disk) resume(state *dirState) (bool, error) {
	n := len(d.segments)
	if n == 0 {
		return false, nil
	}
	last, g := d.segments[n-1], &state.segments[n-1]
	if g.limit != noLimit || g.reason != nil || last.size >= d.opts.segmentSize {
		return false, nil
	}
	for _, s := range d.segments { // META covers all of the newest segment only if it was closed in order
		if s.synced < s.size {
			return false, nil
		}
	}
	w, err := resumeWriter(d.fs, d.path(segmentName(last.id)), last.size, d.opts.segmentSize)
	if err != nil {
		return false, err
	}
	d.c.out = w
	d.c.remove, d.c.later = append(d.c.remove, d.c.later...), nil
	// The segment does not record this run. META does, again at the end.
	if err := d.note(d.noteRun); err != nil {
		return false, err
	}
	return true, d.holds()
}

// resumeWriter continues a file behind its first from bytes, which are records.
func resumeWriter(fs vfs.FS, path string, from, most int64) (*writer, error) {
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	out := &aheadWrites{wholeWrites: wholeWrites{&positioned{f, from}}, end: from, ahead: info.Size(), most: most}
	w := &writer{file: f, records: record.NewWriter(&skipping{out, from}), synced: from}
	// Package record starts at the beginning of a block, so it is first given records that fill what exists of
	// the block.
	blocks, rest := from/blockSize, from%blockSize
	if blocks > 0 {
		_, err = w.records.WriteRecord(make([]byte, blocks*(blockSize-headerSize)))
	}
	if err == nil && rest > 0 {
		_, err = w.records.WriteRecord(make([]byte, rest-headerSize))
	}
	if err == nil && w.records.Size() != from {
		err = errEntry
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return w, nil
}

// skipping drops the first bytes written to it.
type skipping struct {
	to   io.Writer
	drop int64
}

func (s *skipping) Write(p []byte) (int, error) {
	n := int(min(s.drop, int64(len(p))))
	s.drop -= int64(n)
	if n == len(p) {
		return n, nil
	}
	m, err := s.to.Write(p[n:])
	return n + m, err
}

// positioned writes to a file from an offset on.
type positioned struct {
	vfs.File
	at int64
}

func (p *positioned) Write(b []byte) (int, error) {
	n, err := p.WriteAt(b, p.at)
	p.at += int64(n)
	return n, err
}
