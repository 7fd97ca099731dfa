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

// lockedDir is a directory locked by this process. It also detects whether another directory has taken its
// path: the directory may be removed, moved or replaced while it is open.
type lockedDir struct {
	fs     vfs.FS
	path   string
	lock   io.Closer // LOCK, locked as every version of the program does
	opened vfs.File  // the directory itself, so that removing LOCK does not let a second broker in
	locked bool      // opened is locked; some network file systems cannot do that
	meta   vfs.File  // nil until META exists

	lockFile, metaFile knownFile
}

// errDisplaced: the path does not lead to what was opened.
var errDisplaced = errors.New("was removed or replaced while it was in use")

// knownFile is an opened file and its path.
type knownFile struct {
	path string
	id   fileID
}

// fileID identifies a file among all that exist. It is zero if the file system does not provide it.
type fileID struct{ device, inode uint64 }

func identify(info vfs.FileInfo) (id fileID) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		id = fileID{uint64(s.Dev), s.Ino}
	}
	return id
}

// identifier is a file system that can identify a file by its path without other information, which is
// faster.
type identifier interface {
	identify(path string) (fileID, error)
}

// known returns the path and identity of a file in the directory.
func (p *lockedDir) known(name string) (knownFile, error) {
	path := p.fs.PathJoin(p.path, name)
	id, err := p.identify(path)
	return knownFile{path, id}, err
}

func (p *lockedDir) identify(path string) (id fileID, err error) {
	if fs, ok := p.fs.(identifier); ok {
		return fs.identify(path)
	}
	info, err := p.fs.Stat(path)
	if err != nil {
		return id, err
	}
	return identify(info), nil
}

// lock locks the directory.
func lock(fs vfs.FS, dir string) (*lockedDir, error) {
	p := &lockedDir{fs: fs, path: dir}
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
	if err == nil {
		p.lockFile, err = p.known(lockName)
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *lockedDir) inUse() error { return fmt.Errorf("%w: %s", store.ErrLocked, p.path) }

// lockDir locks the directory itself, if its file system can do that.
func (p *lockedDir) lockDir() (err error) {
	if p.opened, err = p.fs.OpenDir(p.path); err != nil {
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

// openMeta opens META for writing as long as the directory is open.
func (p *lockedDir) openMeta() (err error) {
	path := p.fs.PathJoin(p.path, metaName)
	if p.meta, err = p.fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified); err != nil {
		return err
	}
	info, err := p.meta.Stat()
	if err != nil {
		return err
	}
	p.metaFile = knownFile{path, identify(info)}
	return nil
}

// holds returns an error unless META, and LOCK if it is the only lock, are still the files that were opened.
func (p *lockedDir) holds() error {
	if !p.locked {
		if err := p.is(&p.lockFile); err != nil {
			return err
		}
	}
	return p.is(&p.metaFile)
}

// is returns an error unless a path still leads to a file.
func (p *lockedDir) is(f *knownFile) error {
	id, err := p.identify(f.path)
	switch {
	case isGone(err), err == nil && id != f.id:
		return fmt.Errorf("%s %w", f.path, errDisplaced)
	default:
		return err
	}
}

// isGone reports whether an error means that a path does not exist.
func isGone(err error) bool { return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) }

// Close unlocks the directory.
func (p *lockedDir) Close() (err error) {
	for _, c := range []io.Closer{p.meta, p.lock, p.opened} {
		if c != nil {
			err = errors.Join(err, c.Close())
		}
	}
	return err
}
