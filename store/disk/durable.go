package disk

import (
	"errors"
	"io"
	"syscall"
	"unsafe"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// durableFile is a file whose WriteAt returns when the data is on the disk. Offsets, lengths and the address of
// the data must be multiples of its unit.
type durableFile interface {
	io.WriterAt
	io.Closer
}

// durableFS is a file system with such files.
type durableFS interface {
	// openDurable opens an existing file for writing, and returns its unit in bytes.
	openDurable(path string) (f durableFile, unit int, err error)
}

// openDurable returns an error if the file system has no durable files.
func openDurable(fs vfs.FS, path string) (durableFile, int, error) {
	if fs, ok := fs.(durableFS); ok {
		return fs.openDurable(path)
	}
	return nil, 0, errors.ErrUnsupported
}

// undurable reports whether an error may come from a file system that opens a file for such writes and then
// refuses them.
func undurable(err error) bool {
	return errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported)
}

// spillSize is how many bytes wait at most for a durable write; what a batch has beyond is written before its
// end is known.
const spillSize = 1 << 20

// durableWrites gathers what is written, and puts it into a durable file in whole units. The last one is
// filled with zeros, and written again, with the same beginning, when more comes: a unit is no larger than what
// a disk writes as a whole, or at least nothing in it changes that was there.
type durableWrites struct {
	file  durableFile
	unit  int64
	buf   []byte // not on the disk yet, behind the part of a unit that is
	at    int64  // offset of buf in the file
	ahead int64  // end of the zeros in the file
	most  int64  // limit of the zeros
}

// Write implements io.Writer.
func (w *durableWrites) Write(p []byte) (int, error) {
	w.grow(len(p))
	w.buf = append(w.buf, p...)
	if len(w.buf) >= spillSize {
		return len(p), w.put()
	}
	return len(p), nil
}

// grow makes room for n more bytes.
func (w *durableWrites) grow(n int) {
	if len(w.buf)+n > cap(w.buf) {
		w.buf = append(aligned(max(len(w.buf)+n, 2*cap(w.buf), blockSize), int(w.unit)), w.buf...)
	}
}

// aligned returns an empty slice with at least this capacity whose address is a multiple of unit. Go does not
// move it.
func aligned(capacity, unit int) []byte {
	b := make([]byte, capacity+unit)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (unit - 1)
	return b[skip:skip]
}

// tooLarge reports whether a shorter write may succeed. Of other faults some systems tell only once that
// something is not on the disk, so they must end the file.
func tooLarge(err error) bool { return noRoom(err) || errors.Is(err, syscall.EFBIG) }

// put writes all that was gathered.
func (w *durableWrites) put() error {
	n := int64(len(w.buf))
	filled := (n + w.unit - 1) / w.unit * w.unit
	whole := filled
	if end := w.at + filled; end > w.ahead && end < w.most {
		whole = (min(end+aheadSize, w.most) - w.at) / w.unit * w.unit
	}
	w.grow(int(whole - n))
	clear(w.buf[n:whole])
	_, err := w.file.WriteAt(w.buf[:whole], w.at)
	if whole > filled && tooLarge(err) {
		w.most, whole = 0, filled // the zeros are an optimization only
		_, err = w.file.WriteAt(w.buf[:whole], w.at)
	}
	if err != nil {
		return err
	}
	w.ahead = max(w.ahead, w.at+whole)
	begun := n % w.unit
	w.buf = append(w.buf[:0], w.buf[n-begun:]...)
	w.at += n - begun
	return nil
}
