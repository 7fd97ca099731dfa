package reactor

import (
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// inheritsKeepAlive says that accepted connections have the settings of their listener, so that none needs
// four system calls of its own.
const inheritsKeepAlive = true

// setKeepAlive gives a socket settings as net.TCPConn.SetKeepAliveConfig does.
func setKeepAlive(fd int, k net.KeepAliveConfig) error {
	if !k.Enable {
		return nil // as a new socket is
	}
	set := func(level, option, value int) error {
		return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, option, value))
	}
	if err := set(unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1); err != nil {
		return err
	}
	const idle, interval, count = 15, 15, 9 // what package net has for 0
	for _, o := range []struct{ option, value, usual int }{
		{unix.TCP_KEEPIDLE, seconds(k.Idle), idle},
		{unix.TCP_KEEPINTVL, seconds(k.Interval), interval},
		{unix.TCP_KEEPCNT, k.Count, count},
	} {
		switch {
		case o.value < 0: // the system's
		case o.value == 0:
			o.value = o.usual
			fallthrough
		default:
			if err := set(unix.IPPROTO_TCP, o.option, o.value); err != nil {
				return err
			}
		}
	}
	return nil
}

// seconds returns a duration in whole seconds, rounded up.
func seconds(d time.Duration) int {
	if d < 0 {
		return -1
	}
	return int((d + time.Second - 1) / time.Second)
}
