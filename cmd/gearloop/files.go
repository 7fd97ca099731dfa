package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Files are written as root, or as the user of --user, in directories that may belong to somebody else.
// Whoever may write to such a directory could put a symbolic link there and make us write to one of our own
// files. So in such a directory no link is followed.

// trusted reports whether only root and this user can create files in a directory.
func trusted(dir string) bool {
	info, err := os.Stat(dir)
	if err != nil {
		return false
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	return (owner == 0 || int(owner) == os.Geteuid()) && info.Mode().Perm()&0o022 == 0
}

// openLog opens a file for appending and creates it if necessary. It may be a named pipe without a reader:
// opening does not wait for one, and writing returns an error or is queued by the caller.
func openLog(path string) (*os.File, error) {
	flags, strict := os.O_CREATE|os.O_APPEND|os.O_WRONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, !trusted(filepath.Dir(path))
	if strict {
		flags |= syscall.O_NOFOLLOW
	}
	f, err := os.OpenFile(path, flags, 0o644)
	if errors.Is(err, syscall.ENXIO) { // a named pipe without a reader: open it for reading as well
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

// writeNew replaces the file at path atomically. An existing file, even a link, is replaced and not written
// to.
func writeNew(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.new") // fails if it exists
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

// readPlain reads the beginning of a regular file, without following links.
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
