// Package sdnotify speaks with the service manager that has started this process: systemd, or another one that knows
// its protocols. It tells the manager how the process is doing (sd_notify(3), the variable NOTIFY_SOCKET) and takes
// over sockets that the manager has opened (sd_listen_fds(3), the variable LISTEN_FDS). Where there is no such manager,
// both are nil and do nothing.
//
// It is written here because it is a few lines, and a library of systemd's would be one more thing in the process.
package sdnotify

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What a process may tell. STATUS is for people; systemctl status shows it.
const (
	Ready     = "READY=1"     // it has started, or has read its configuration again
	Reloading = "RELOADING=1" // it reads its configuration again; see Reload
	Stopping  = "STOPPING=1"
	Alive     = "WATCHDOG=1" // due every Notifier.Watchdog
)

// Status tells people in one line how the process is doing.
func Status(format string, a ...any) string {
	return "STATUS=" + strings.NewReplacer("\n", " ", "\r", " ").Replace(fmt.Sprintf(format, a...))
}

// Extend asks for so much time from now on until the process is ready or has ended, beyond the limit that the manager has.
func Extend(d time.Duration) string { return fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", d.Microseconds()) }

// sendLimit is how long a manager that does not read may hold up whoever tells it something.
const sendLimit = 5 * time.Second

// Notifier tells a service manager how this process is doing. A nil Notifier tells nobody. Its methods may be called by
// many goroutines at a time.
type Notifier struct {
	address  *net.UnixAddr
	watchdog time.Duration

	mu   sync.Mutex
	conn *net.UnixConn // nil: to be opened
}

// FromEnvironment returns what the environment asks for, nil if nobody listens. It removes the variables: processes
// that this one starts are no business of the manager's.
func FromEnvironment() (*Notifier, error) {
	path, usec, pid := os.Getenv("NOTIFY_SOCKET"), os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID")
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		os.Unsetenv(name)
	}
	if path == "" {
		return nil, nil
	}
	if path[0] != '/' && path[0] != '@' {
		return nil, fmt.Errorf("NOTIFY_SOCKET: %q is not the path of a socket: it must begin with / or @", path)
	}
	n := &Notifier{address: &net.UnixAddr{Name: path, Net: "unixgram"}}
	if usec == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return n, nil
	}
	limit, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || limit <= 0 || limit > int64(24*365*time.Hour/time.Microsecond) {
		return n, fmt.Errorf("WATCHDOG_USEC: %q is not a number of microseconds", usec)
	}
	n.watchdog = time.Duration(limit) * time.Microsecond
	return n, nil
}

// IsMain reports whether this process is the main process of a unit of systemd that wants to be told (Type=notify): one
// that has to stay, because the unit ends with it. A process that was started by such a one is not.
func IsMain() bool {
	return os.Getenv("NOTIFY_SOCKET") != "" && os.Getenv("SYSTEMD_EXEC_PID") == strconv.Itoa(os.Getpid())
}

// Watchdog returns after how long without Alive the manager takes the process for dead; 0 is never.
func (n *Notifier) Watchdog() time.Duration {
	if n == nil {
		return 0
	}
	return n.watchdog
}

// Send tells all of this at once. It waits at most sendLimit for a manager that does not read.
func (n *Notifier) Send(states ...string) error {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	message := []byte(strings.Join(states, "\n"))
	again := n.conn != nil // the manager may have opened its socket anew since then
	err := n.send(message)
	if err != nil && again {
		err = n.send(message)
	}
	if err != nil {
		return fmt.Errorf("telling the service manager at %s: %w", n.address.Name, err)
	}
	return nil
}

func (n *Notifier) send(message []byte) (err error) {
	if n.conn == nil {
		if n.conn, err = net.DialUnix("unixgram", nil, n.address); err != nil {
			return err
		}
	}
	n.conn.SetWriteDeadline(time.Now().Add(sendLimit))
	if _, err = n.conn.Write(message); err != nil {
		n.conn.Close()
		n.conn = nil
	}
	return err
}

// Close ends the notifier.
func (n *Notifier) Close() {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conn != nil {
		n.conn.Close()
		n.conn = nil
	}
}
