package sdnotify

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Reload is the state for reading the configuration again. A manager of Type=notify-reload also requires the
// time, by the monotonic clock.
func Reload() string {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return Reloading
	}
	return fmt.Sprintf("%s\nMONOTONIC_USEC=%d", Reloading, time.Duration(now.Nano()).Microseconds())
}
