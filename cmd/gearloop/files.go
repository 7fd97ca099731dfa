package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Files are written as root, or as the user of --user, in directories that may belong to somebody else. Whoever may
// write to the directory could put a link there, and have us write to a file of ours that the link names. So no
// link is followed in such a directory.

// trusted reports whether only root and we can put something into a directory.
func trusted(dir string) bool {
	info, err := os.Stat(dir)
	if err != nil {
		return false
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	return (owner == 0 || int(owner) == os.Geteuid()) && info.Mode().Perm()&0o022 == 0
}

// openLog opens a file to append to, and makes it if need be. It may be a named pipe that nobody reads: neither opening
// nor writing waits for that, but writing returns an error or is made to wait by the caller.
func openLog(path string) (*os.File, error) {
	flags, strict := os.O_CREATE|os.O_APPEND|os.O_WRONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, !trusted(filepath.Dir(path))
	if strict {
		flags |= syscall.O_NOFOLLOW
	}
	f, err := os.OpenFile(path, flags, 0o644)
	if errors.Is(err, syscall.ENXIO) { // a named pipe without a reader: have it open for reading, too
		f, err = os.OpenFile(path, flags&^(os.O_CREATE|os.O_WRONLY)|os.O_RDWR, 0)
	}
	if errors.Is(err, syscall.ELOOP) {
		return nil, errors.New("it is a symbolic link in a directory that others can write to: name the file itself")
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && strict && info.Mode().IsRegular() && info.Sys().(*syscall.Stat_t).Nlink > 1 {
		err = errors.New("it has several names (hard links) in a directory that others can write to: remove it first")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// writeNew puts a file with this content in the place of path, whole or not at all. What was there, a link too, is
// replaced and not written to.
func writeNew(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.new") // exclusively
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// readPlain reads the beginning of a regular file, and follows no link.
func readPlain(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fs.ErrInvalid)
	}
	buffer := make([]byte, 64)
	n, err := f.Read(buffer)
	return buffer[:n], err
}
