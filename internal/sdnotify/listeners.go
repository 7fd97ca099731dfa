package sdnotify

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// firstFD is the first descriptor that a service manager passes.
const firstFD = 3

// maxFDs bounds LISTEN_FDS: more than this is a mistake.
const maxFDs = 1 << 12

// unnamed is the name of a socket that the manager gave none, as in sd_listen_fds_with_names(3).
const unnamed = "unknown"

// Socket is a listening socket that the service manager has opened for this process.
type Socket struct {
	Name     string // FileDescriptorName= of its unit; by default the name of the unit. Several may have the same
	FD       int    // its descriptor, as it was passed
	Listener net.Listener
}

// Sockets returns the sockets that the service manager has passed, none if it did not. It removes the variables
// and closes the descriptors in processes that this one starts.
func Sockets() ([]Socket, error) { return sockets(firstFD) }

func sockets(first int) (all []Socket, err error) {
	pid, count, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
	if count == "" || pid != strconv.Itoa(os.Getpid()) {
		return nil, nil // of a process that started this one
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > maxFDs {
		return nil, fmt.Errorf("LISTEN_FDS: %q is not a number of sockets", count)
	}
	named := strings.Split(names, ":")
	defer func() {
		if err != nil {
			for _, s := range all {
				s.Listener.Close()
			}
			all = nil
		}
	}()
	for i := range n {
		s := Socket{Name: unnamed, FD: first + i}
		if i < len(named) && named[i] != "" {
			s.Name = named[i]
		}
		if s.Listener, err = listenerOf(s.FD, s.Name); err != nil {
			return all, fmt.Errorf("the socket %s that the service manager has passed: %w", s.Name, err)
		}
		all = append(all, s)
	}
	return all, nil
}

// listenerOf returns the listener of a descriptor, which it takes over.
func listenerOf(fd int, name string) (net.Listener, error) {
	unix.CloseOnExec(fd)
	file := os.NewFile(uintptr(fd), name)
	defer file.Close() // FileListener copies the descriptor
	kind, err := unix.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TYPE)
	if err != nil {
		return nil, fmt.Errorf("descriptor %d: %w", fd, os.NewSyscallError("getsockopt", err))
	}
	listens, err := unix.GetsockoptInt(fd, syscall.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil || kind != syscall.SOCK_STREAM || listens == 0 {
		return nil, fmt.Errorf("descriptor %d does not listen for streams: its unit needs ListenStream= and Accept=no", fd)
	}
	l, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("descriptor %d: %w", fd, err)
	}
	switch l.(type) {
	case *net.TCPListener, *net.UnixListener:
		return l, nil
	}
	l.Close()
	return nil, fmt.Errorf("descriptor %d is neither TCP nor a unix socket", fd)
}
