// Package sdnotify talks to the service manager that started this process: systemd, or another one that
// implements its protocols. It reports the state of the process (sd_notify(3), variable NOTIFY_SOCKET) and
// takes over sockets that the manager opened (sd_listen_fds(3), variable LISTEN_FDS). Without such a manager
// both are nil and do nothing.
//
// It is our own code because it is a few lines, and systemd's library would add a dependency.
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

// States to report. STATUS is for people; systemctl status shows it.
const (
	Ready     = "READY=1"     // it has started, or has finished reading its configuration again
	Reloading = "RELOADING=1" // it is reading its configuration again; see Reload
	Stopping  = "STOPPING=1"
	Alive     = "WATCHDOG=1" // due every Notifier.Watchdog
)

// Status is a state for people, in one line.
func Status(format string, a ...any) string {
	return "STATUS=" + strings.NewReplacer("\n", " ", "\r", " ").Replace(fmt.Sprintf(format, a...))
}

// Extend asks the manager for this much time from now on to become ready or to end, beyond its own limit.
func Extend(d time.Duration) string { return fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", d.Microseconds()) }

// sendLimit is how long Send waits for a manager that does not read.
const sendLimit = 5 * time.Second

// Notifier reports to a service manager. A nil Notifier does nothing. Any goroutine may call its methods.
type Notifier struct {
	address  *net.UnixAddr
	watchdog time.Duration

	mu   sync.Mutex
	conn *net.UnixConn // nil: not open yet
}

// FromEnvironment returns the notifier that the environment describes, nil if nobody listens. It unsets the
// variables, because child processes must not report.
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

// IsMain reports whether this is the main process of a systemd unit with Type=notify. Such a process must not
// fork into the background, because the unit ends with it. Children of such a process are not meant.
func IsMain() bool {
	return os.Getenv("NOTIFY_SOCKET") != "" && os.Getenv("SYSTEMD_EXEC_PID") == strconv.Itoa(os.Getpid())
}

// Watchdog returns how long the manager waits for Alive before it considers the process dead; 0 = no limit.
func (n *Notifier) Watchdog() time.Duration {
	if n == nil {
		return 0
	}
	return n.watchdog
}

// Send reports all states in one message. It waits at most sendLimit for a manager that does not read.
func (n *Notifier) Send(states ...string) error {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	message := []byte(strings.Join(states, "\n"))
	again := n.conn != nil // the manager may have reopened its socket since then
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
