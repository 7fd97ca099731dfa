package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// machine is the machine's file system, with files that only their owner may access.
var machine vfs.FS = private{vfs.Default}

// private creates files that only their owner may read or write, whatever the umask.
type private struct{ vfs.FS }

const (
	privateFile = 0o600

	others      = 0o077 // permissions of group and others
	othersWrite = 0o002
)

func (p private) Create(path string, category vfs.DiskWriteCategory) (vfs.File, error) {
	err := makeFile(path)
	for errors.Is(err, os.ErrExist) {
		if err = os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		err = makeFile(path)
	}
	if err != nil {
		return nil, err
	}
	return p.OpenReadWrite(path, category)
}

func makeFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, privateFile)
	if err != nil {
		return err
	}
	return f.Close()
}

// Lock locks a file and truncates it, so the file must not be a link made by somebody else.
func (p private) Lock(path string) (io.Closer, error) {
	if err := makeFile(path); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	if info, err := os.Lstat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("store: %s is not a regular file (%v): remove it", path, info.Mode())
	}
	return p.FS.Lock(path)
}

// tighten makes sure that others cannot read or replace what is stored in a directory. It restricts a
// directory that has a store or is empty, and the store's files in it, to the owner. It refuses a directory
// that everybody may write to if that cannot be changed. It does not change a directory with other files in
// it.
func tighten(dir string) error {
	info, err := os.Stat(dir)
	if err != nil || info.Mode()&others == 0 {
		return err
	}
	names, err := vfs.Default.List(dir)
	if err != nil {
		return err
	}
	if !slices.Contains(names, metaName) && slices.ContainsFunc(names, isForeign) {
		err = errors.New("it holds other files, so its mode is not changed")
	} else if err = os.Chmod(dir, info.Mode()&^others); err == nil {
		info, err = os.Stat(dir)
	}
	if info.Mode()&othersWrite != 0 {
		if err == nil {
			err = errors.New("its file system does not change modes")
		}
		return fmt.Errorf("store: everybody may write to %s (mode %04o; %w): name a directory inside it, which is made "+
			"with mode 0700, or change it", dir, info.Mode().Perm(), err)
	}
	for _, name := range names {
		if isForeign(name) {
			continue
		}
		if err := tightenFile(filepath.Join(dir, name)); err != nil && info.Mode()&others != 0 {
			return err
		}
	}
	return nil
}

func tightenFile(path string) error {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Mode()&others == 0 {
		return err
	}
	if err := os.Chmod(path, info.Mode()&^others); err != nil {
		return fmt.Errorf("store: others may read %s (mode %04o), and that can't be changed: %w",
			path, info.Mode().Perm(), err)
	}
	return nil
}

// isForeign reports whether a file in a directory is neither part of a store nor one that file systems
// create.
func isForeign(name string) bool {
	_, isSegment := segmentOf(name)
	_, isArgument := argumentOf(name)
	switch name {
	case metaName, lockName, SettingsName, damagedDir, "lost+found":
		return false
	}
	return !isSegment && !isArgument && !isLeftover(name)
}
