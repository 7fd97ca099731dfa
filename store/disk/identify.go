package disk

import (
	"os"
	"syscall"
)

// identify implements identifier.
func (private) identify(path string) (fileID, error) {
	if id, ok := identifyOnly(path); ok {
		return id, nil
	}
	var s syscall.Stat_t
	for {
		switch err := syscall.Stat(path, &s); err {
		case nil:
			return fileID{uint64(s.Dev), s.Ino}, nil
		case syscall.EINTR:
		default:
			return fileID{}, &os.PathError{Op: "stat", Path: path, Err: err}
		}
	}
}
