package disk

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	segmentSuffix  = ".log"
	argumentSuffix = ".arg"
	newSuffix      = ".new"   // of an incomplete file
	blockSize      = 32 << 10 // of package record, which skips to the next one after damage
)

func segmentName(id uint64) string      { return fmt.Sprintf("%010d%s", id, segmentSuffix) }
func argumentName(number uint64) string { return fmt.Sprintf("%016x%s", number, argumentSuffix) }

// segmentOf returns the number of a segment's file, argumentOf the job's number of an argument file.
func segmentOf(name string) (id uint64, ok bool)      { return numberOf(name, segmentSuffix, 10) }
func argumentOf(name string) (number uint64, ok bool) { return numberOf(name, argumentSuffix, 16) }

// isLeftover reports whether a file is useless if the process that created it is gone.
func isLeftover(name string) bool {
	_, isSegment := segmentOf(strings.TrimSuffix(name, newSuffix))
	return name == metaNew || name == settingsNew || name == probeName || isSegment && strings.HasSuffix(name, newSuffix)
}

func numberOf(name, suffix string, base int) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	n, err := strconv.ParseUint(digits, base, 64)
	return n, ok && err == nil
}

// segment is a file of the log.
type segment struct {
	id     uint64
	size   int64 // bytes that count
	synced int64 // bytes that are on disk
	live   int   // stored jobs whose entry is here; guarded by the mutex
	stuck  bool  // it could not be read for cleaning
	file   knownFile
}

// aheadSize is how many bytes a segment's file extends beyond its content. Syncing within a file takes two
// thirds of the time of syncing a growing one.
const aheadSize = 256 << 10

var zeros [aheadSize]byte

// aheadWrites writes zeros ahead of the content.
type aheadWrites struct {
	wholeWrites
	end   int64 // of the content
	ahead int64 // end of the zeros; at the beginning it may be before end
	most  int64 // limit of the zeros
}

func (f *aheadWrites) Write(p []byte) (int, error) {
	n, err := f.wholeWrites.Write(p)
	if f.end += int64(n); err != nil || f.end <= f.ahead || f.end >= f.most {
		return n, err
	}
	f.ahead = min(f.end+aheadSize, f.most)
	if _, err := f.WriteAt(zeros[:f.ahead-f.end], f.end); err != nil {
		f.most = 0 // they are an optimization only
	}
	return n, nil
}

// wholeWrites turns a short write into an error.
type wholeWrites struct{ vfs.File }

func (f wholeWrites) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return n, err
}

// writer appends records to a file. It is unusable after an error.
type writer struct {
	file    vfs.File
	durable *durableWrites // what the records are written to; nil: the file
	records *record.Writer
	header  [batchHeader]byte
	synced  int64 // bytes known to be on disk
}

// createWriter creates a file that will have about size bytes.
func createWriter(fs vfs.FS, path string, size int64) (*writer, error) {
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	return &writer{file: f, records: record.NewWriter(&aheadWrites{wholeWrites: wholeWrites{f}, most: size})}, nil
}

// createDurable is createWriter for a file whose writes are durable at once, if the file system can do that.
func createDurable(fs vfs.FS, path string, size int64) (*writer, error) {
	w, err := createWriter(fs, path, size)
	if err != nil {
		return nil, err
	}
	if f, unit, err := openDurable(fs, path); err == nil {
		w.durable = &durableWrites{file: f, unit: int64(unit), most: size}
		w.records = record.NewWriter(w.durable)
	}
	return w, nil
}

func (w *writer) close() error {
	err := w.file.Close()
	if w.durable != nil {
		err = errors.Join(err, w.durable.file.Close())
	}
	return err
}

// creator is createWriter or createDurable.
type creator func(fs vfs.FS, path string, size int64) (*writer, error)

// makeSegment writes the beginning of a segment, and gives it its name only after that is on disk: whoever
// finds it by name may trust what its first entry says about the segment before. If syncing the directory
// fails it has its name already, and stays.
func makeSegment(fs vfs.FS, dir string, id uint64, size int64, create creator, write func(*writer) error) (*writer, error) {
	path := fs.PathJoin(dir, segmentName(id))
	w, err := create(fs, path+newSuffix, size)
	if err != nil {
		return nil, err
	}
	if err = write(w); err == nil {
		err = w.records.Flush()
	}
	if err == nil {
		err = w.sync()
	}
	if err == nil {
		err = fs.Rename(path+newSuffix, path)
	}
	if err != nil {
		_ = w.close()
		_ = fs.Remove(path + newSuffix) // if it remains the next start removes it
		return nil, err
	}
	if err := syncDir(fs, dir); err != nil {
		_ = w.close()
		return nil, err
	}
	return w, nil
}

// sync syncs what was flushed.
func (w *writer) sync() error {
	size := w.records.Size()
	if size == w.synced {
		return nil
	}
	var err error
	if w.durable != nil {
		err = w.durable.put()
	} else {
		err = w.file.SyncData()
	}
	if err != nil {
		return err
	}
	w.synced = size
	return nil
}
