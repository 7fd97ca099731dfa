package disk

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// errShort makes a write accept half of its data, without an error.
var errShort = errors.New("short write")

// hookFS calls before ahead of each call that touches the disk. If that returns an error the call fails with
// it.
type hookFS struct {
	vfs.FS
	before  func(op, path string) error
	shuffle func(n int) []int // there are durable files (durable_test.go): a random order of n parts
}

func (h *hookFS) Create(path string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := h.before("create", path); err != nil {
		return nil, err
	}
	return h.file(path)(h.FS.Create(path, c))
}

func (h *hookFS) Open(path string, o ...vfs.OpenOption) (vfs.File, error) {
	if err := h.before("open", path); err != nil {
		return nil, err
	}
	return h.file(path)(h.FS.Open(path, o...))
}

func (h *hookFS) OpenReadWrite(path string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	if err := h.before("open", path); err != nil {
		return nil, err
	}
	return h.file(path)(h.FS.OpenReadWrite(path, c, o...))
}

func (h *hookFS) MkdirAll(path string, perm os.FileMode) error {
	if err := h.before("mkdir", path); err != nil {
		return err
	}
	return h.FS.MkdirAll(path, perm)
}

func (h *hookFS) Stat(path string) (vfs.FileInfo, error) {
	if err := h.before("stat", path); err != nil {
		return nil, err
	}
	return h.FS.Stat(path)
}

func (h *hookFS) Link(from, to string) error {
	if err := h.before("link", from); err != nil {
		return err
	}
	return h.FS.Link(from, to)
}

func (h *hookFS) OpenDir(path string) (vfs.File, error) {
	if err := h.before("opendir", path); err != nil {
		return nil, err
	}
	return h.file(path)(h.FS.OpenDir(path))
}

func (h *hookFS) Remove(path string) error {
	if err := h.before("remove", path); err != nil {
		return err
	}
	return h.FS.Remove(path)
}

func (h *hookFS) Rename(from, to string) error {
	if err := h.before("rename", from); err != nil {
		return err
	}
	return h.FS.Rename(from, to)
}

func (h *hookFS) List(path string) ([]string, error) {
	if err := h.before("list", path); err != nil {
		return nil, err
	}
	return h.FS.List(path)
}

func (h *hookFS) Lock(path string) (io.Closer, error) {
	if err := h.before("lock", path); err != nil {
		return nil, err
	}
	return h.FS.Lock(path)
}

func (h *hookFS) file(path string) func(vfs.File, error) (vfs.File, error) {
	return func(f vfs.File, err error) (vfs.File, error) {
		if err != nil {
			return nil, err
		}
		return &hookFile{File: f, path: path, fs: h}, nil
	}
}

type hookFile struct {
	vfs.File
	path string
	fs   *hookFS
}

func (f *hookFile) Write(p []byte) (int, error) {
	switch err := f.fs.before("write", f.path); err {
	case nil:
		return f.File.Write(p)
	case errShort:
		return f.File.Write(p[:len(p)/2])
	default:
		return 0, err
	}
}

func (f *hookFile) WriteAt(p []byte, off int64) (int, error) {
	switch err := f.fs.before("write", f.path); err {
	case nil:
		return f.File.WriteAt(p, off)
	case errShort:
		return f.File.WriteAt(p[:len(p)/2], off)
	default:
		return 0, err
	}
}

func (f *hookFile) Read(p []byte) (int, error) {
	if err := f.fs.before("read", f.path); err != nil {
		return 0, err
	}
	return f.File.Read(p)
}

func (f *hookFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fs.before("read", f.path); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *hookFile) Sync() error {
	if err := f.fs.before("sync", f.path); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *hookFile) SyncData() error {
	if err := f.fs.before("sync", f.path); err != nil {
		return err
	}
	return f.File.SyncData()
}

func (f *hookFile) Stat() (vfs.FileInfo, error) {
	if err := f.fs.before("stat", f.path); err != nil {
		return nil, err
	}
	return f.File.Stat()
}

// ofSegment reports whether a call concerns a segment. An open file is identified by the name under which it
// was opened.
func ofSegment(path string) bool {
	return strings.HasSuffix(strings.TrimSuffix(path, newSuffix), segmentSuffix)
}

// faults makes count calls fail, from number at on.
type faults struct {
	mu    sync.Mutex
	calls int
	at    int
	count int
	err   error
	only  func(op string) bool // nil: all
	hits  int
}

func (f *faults) before(op, _ string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.only != nil && !f.only(op) {
		return nil
	}
	if f.err == errShort && op != "write" {
		return nil
	}
	f.calls++
	if f.at == 0 || f.calls < f.at || f.calls >= f.at+f.count {
		return nil
	}
	f.hits++
	return f.err
}

func (f *faults) hit() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hits
}

// over ends the faults.
func (f *faults) over() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = 0
}

var (
	errNoSpace = &errnoError{syscall.ENOSPC}
	errIO      = &errnoError{syscall.EIO}

	errReadOnly = &errnoError{syscall.EROFS}
)

// errnoError is an error of the system, wrapped as file systems do.
type errnoError struct{ errno syscall.Errno }

func (e *errnoError) Error() string { return "test: " + e.errno.Error() }
func (e *errnoError) Unwrap() error { return e.errno }

// whole copies a file system with everything in it, synced or not, which is what remains when a process is
// killed. An open store may continue meanwhile: a copy during which anything changed would hold files of
// different moments, and is made again.
func whole(from *vfs.MemFS) *vfs.MemFS {
	for {
		before := outline(from)
		to := vfs.NewCrashableMem()
		copyDir(from, to, "/")
		if outline(from) == before {
			return to
		}
	}
}

// outline returns the names of the files and what is in them.
func outline(fs *vfs.MemFS) string {
	names, _ := fs.List(testDir)
	slices.Sort(names)
	var text strings.Builder
	for _, name := range names {
		text.WriteString(name)
		if f, err := fs.Open(testDir + "/" + name); err == nil {
			_, _ = io.Copy(&text, f)
			_ = f.Close()
		}
	}
	return text.String()
}

func copyDir(from, to *vfs.MemFS, dir string) {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	names, err := from.List(dir)
	must(err)
	for _, name := range names {
		path := from.PathJoin(dir, name)
		in, err := from.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		must(err)
		info, err := in.Stat()
		must(err)
		if info.IsDir() {
			must(to.MkdirAll(path, 0o700))
			copyDir(from, to, path)
			continue
		}
		content := make([]byte, info.Size())
		n, err := in.Read(content) // at once, as it is at one moment
		if err != io.EOF {
			must(err)
		}
		f, err := to.Create(path, vfs.WriteCategoryUnspecified)
		must(err)
		_, err = f.Write(content[:n])
		must(errors.Join(err, f.Sync(), f.Close(), in.Close()))
	}
	must(syncDir(to, dir))
}
