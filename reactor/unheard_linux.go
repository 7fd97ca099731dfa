package reactor

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// stateOf asks the system about a TCP connection.
func stateOf(fd int) (socketState, error) {
	i, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return socketState{}, err
	}
	return socketState{
		unacknowledged: i.Unacked > 0 || i.Notsent_bytes > 0,
		// Data for which the peer's system has no room are retransmitted at growing intervals, as probes are. It
		// was asked if the last one was sent after its last answer.
		asked:   i.Unacked > 0 && i.Last_data_sent < i.Last_ack_recv || i.Probes > 0,
		silence: time.Duration(i.Last_ack_recv) * time.Millisecond,
	}, nil
}

// systemKeepAlive returns the system's settings, which a new socket has.
func systemKeepAlive() (k net.KeepAliveConfig) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	}
	if err != nil {
		return k
	}
	defer unix.Close(fd)
	get := func(option int) int {
		n, _ := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, option)
		return n
	}
	k.Idle = time.Duration(get(unix.TCP_KEEPIDLE)) * time.Second
	k.Interval = time.Duration(get(unix.TCP_KEEPINTVL)) * time.Second
	k.Count = get(unix.TCP_KEEPCNT)
	return k
}
