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

// maxFDs bounds LISTEN_FDS: more must be a mistake.
const maxFDs = 1 << 12

// unnamed is the name of a socket without one, see sd_listen_fds_with_names(3).
const unnamed = "unknown"

// Socket is a listening socket that the service manager opened for this process.
type Socket struct {
	Name     string // FileDescriptorName= of its unit; by default the unit's name. Several sockets may share one
	FD       int    // its descriptor, as passed
	Listener net.Listener
}

// Sockets returns the sockets passed by the service manager, if any. It unsets the variables and marks the
// descriptors close-on-exec, so that child processes do not inherit them.
func Sockets() ([]Socket, error) { return sockets(firstFD) }

func sockets(first int) (all []Socket, err error) {
	pid, count, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
	if count == "" || pid != strconv.Itoa(os.Getpid()) {
		return nil, nil // meant for the parent process
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

// listenerOf returns a listener for a descriptor, which it takes over.
func listenerOf(fd int, name string) (net.Listener, error) {
	unix.CloseOnExec(fd)
	file := os.NewFile(uintptr(fd), name)
	defer file.Close() // FileListener duplicates the descriptor
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
