package reactor

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// Owner is a user and a group, by number.
type Owner struct{ UID, GID int }

// unixListener listens on a unix socket.
type unixListener struct {
	*net.UnixListener
	path string
	file fs.FileInfo // the socket in the file system, as it was created
}

// Close stops listening and removes the socket, unless somebody has put something else at its path: for
// instance another server that was started while this one drained.
func (l *unixListener) Close() error {
	// While the socket is open no other file can have its inode number.
	if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.file) {
		os.Remove(l.path)
	}
	return l.UnixListener.Close()
}

// ListenUnix opens a listener on a socket at path, with this mode and, unless owner is nil, this owner. It
// replaces the socket of a dead server. Closing the listener removes the socket.
func ListenUnix(path string, mode fs.FileMode, owner *Owner) (net.Listener, error) {
	path, err := socketPath(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Lstat(path)
	switch {
	case err == nil && info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("there is %s, not a socket: remove it or choose another path", kindOf(info))
	case err == nil && abandoned(path):
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("removing the socket that another server has left: %w", err)
		}
	}
	l, err := bindUnix(path, mode)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%w: another server listens on it", syscall.EADDRINUSE)
	}
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	file, err := os.Lstat(path)
	if err == nil && owner != nil {
		err = os.Lchown(path, owner.UID, owner.GID)
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return &unixListener{l, path, file}, nil
}

// bindUnix creates the socket with its final mode, so that nobody else can connect at any moment. The umask
// belongs to the whole process, which creates no other files meanwhile.
func bindUnix(path string, mode fs.FileMode) (*net.UnixListener, error) {
	if mode == 0 {
		mode = DefaultUnixMode
	}
	defer syscall.Umask(syscall.Umask(int(^mode & fs.ModePerm)))
	return net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
}

// DefaultUnixMode is the default mode of unix sockets: write permission is needed to connect.
const DefaultUnixMode fs.FileMode = 0o660

// kindOf names the kind of a file.
func kindOf(info fs.FileInfo) string {
	switch info.Mode().Type() {
	case 0:
		return "a file"
	case fs.ModeDir:
		return "a directory"
	case fs.ModeSymlink:
		return "a symbolic link"
	case fs.ModeNamedPipe:
		return "a named pipe"
	}
	return "a device"
}

// abandoned reports whether nobody listens on a unix socket.
func abandoned(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return false
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
