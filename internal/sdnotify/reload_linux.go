package sdnotify

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Reload tells that the process reads its configuration again, to a manager of Type=notify-reload as well: that
// wants to know since when, by the clock that both see.
func Reload() string {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return Reloading
	}
	return fmt.Sprintf("%s\nMONOTONIC_USEC=%d", Reloading, time.Duration(now.Nano()).Microseconds())
}
