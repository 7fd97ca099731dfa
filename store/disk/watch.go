package disk

import (
	"io/fs"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A Watch is told the progress of Check, Repair or Dump: it is called with the number of bytes of each read.
type Watch func(n int)

// watched returns the machine's file system. It reports reads to all watches.
func watched(all []Watch) vfs.FS {
	if len(all) == 0 {
		return machine
	}
	return watchedFS{machine, all[0]}
}

type watchedFS struct {
	vfs.FS
	watch Watch
}

func (w watchedFS) Open(name string, options ...vfs.OpenOption) (vfs.File, error) {
	f, err := w.FS.Open(name, options...)
	if err != nil {
		return nil, err
	}
	return watchedFile{f, w.watch}, nil
}

type watchedFile struct {
	vfs.File
	watch Watch
}

func (f watchedFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.watch(n)
	return n, err
}

func (f watchedFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	f.watch(n)
	return n, err
}

// Size returns the bytes of all files in a directory, about as many as Check reads; 0 if it can't be read.
func Size(dir string) (n int64) {
	filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
		return nil
	})
	return n
}
