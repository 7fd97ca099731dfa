package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"

	"gearloop/store"
)

// place is a directory that others are kept out of, and what tells it from another one under the same path: the
// directory may be removed, moved away or replaced while it is open.
type place struct {
	fs     vfs.FS
	dir    string
	lock   io.Closer // LOCK, as all versions of the program lock it
	opened vfs.File  // the directory itself: who removes LOCK must not let a second broker in
	locked bool      // opened is; some network file systems can't
	lockID fileID
	meta   vfs.File // nil until there is META
	metaID fileID
}

// errDisplaced says that the path does not lead to what was opened.
var errDisplaced = errors.New("was removed or replaced while it was in use")

// fileID tells a file from all others that exist. It is zero where the file system does not say.
type fileID struct{ device, inode uint64 }

func identify(info vfs.FileInfo) (id fileID) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		id = fileID{uint64(s.Dev), s.Ino}
	}
	return id
}

// lock keeps others out of the directory.
func lock(fs vfs.FS, dir string) (*place, error) {
	p := &place{fs: fs, dir: dir}
	if err := p.lockDir(); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	l, err := fs.Lock(fs.PathJoin(dir, lockName))
	switch {
	case err == nil:
		p.lock = l
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EACCES) && !errors.Is(err, os.ErrPermission),
		err.Error() == "lock held by current process":
		err = p.inUse()
	}
	var info vfs.FileInfo
	if err == nil {
		info, err = fs.Stat(fs.PathJoin(dir, lockName))
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	p.lockID = identify(info)
	return p, nil
}

func (p *place) inUse() error { return fmt.Errorf("%w: %s", store.ErrLocked, p.dir) }

// lockDir locks the directory itself, where its file system can do that.
func (p *place) lockDir() (err error) {
	if p.opened, err = p.fs.OpenDir(p.dir); err != nil {
		return err
	}
	fd := p.opened.Fd()
	if fd == vfs.InvalidFd {
		return nil
	}
	switch err := unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB); err {
	case nil:
		p.locked = true
	case unix.EWOULDBLOCK:
		return p.inUse()
	}
	return nil
}

// openMeta opens META, to be written as long as the place is open.
func (p *place) openMeta() error {
	f, err := p.fs.OpenReadWrite(p.fs.PathJoin(p.dir, metaName), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	p.meta, p.metaID = f, identify(info)
	return nil
}

// holds reports whether META, LOCK if nothing else keeps others out, and the segment with a name, unless it is "",
// are still the files that were opened. It is two calls to the system, and asked before each acknowledgement.
func (p *place) holds(segment string, id fileID) error {
	if segment != "" {
		if err := p.is(segment, id); err != nil {
			return err
		}
	}
	if !p.locked {
		if err := p.is(lockName, p.lockID); err != nil {
			return err
		}
	}
	return p.is(metaName, p.metaID)
}

// is reports whether a name is still that of a file.
func (p *place) is(name string, id fileID) error {
	path := p.fs.PathJoin(p.dir, name)
	info, err := p.fs.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ENOTDIR), err == nil && identify(info) != id:
		return fmt.Errorf("%s %w", path, errDisplaced)
	default:
		return err
	}
}

// Close lets others in.
func (p *place) Close() (err error) {
	for _, c := range []io.Closer{p.meta, p.lock, p.opened} {
		if c != nil {
			err = errors.Join(err, c.Close())
		}
	}
	return err
}
