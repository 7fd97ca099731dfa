package reactor

import (
	"bytes"
	"math"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// processorTime returns the processor time of this process, user's and system's.
func processorTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// idleTime tells how many processors of the machine nobody used for a while.
type idleTime struct {
	ticks uint64
	at    time.Time
	buf   [256]byte
}

// since returns the idle processors since the last call, NaN if that was not took ago, and infinity where the
// system does not tell.
func (w *idleTime) since(now time.Time, took time.Duration) float64 {
	ticks, ok := w.read()
	if !ok {
		return math.Inf(1)
	}
	used, elapsed := max(int64(ticks-w.ticks), 0), now.Sub(w.at) // iowait may decrease
	w.ticks, w.at = ticks, now
	if elapsed > 2*took {
		return math.NaN()
	}
	return float64(used) / ticksPerSecond / elapsed.Seconds()
}

// ticksPerSecond is the unit of /proc/stat on every architecture that Go runs on.
const ticksPerSecond = 100

// read returns the idle time of all processors since the machine started.
func (w *idleTime) read() (ticks uint64, ok bool) {
	f, err := os.Open("/proc/stat")
	if err != nil {
		return 0, false
	}
	defer f.Close()
	n, _ := f.Read(w.buf[:])
	return idleTicks(w.buf[:n])
}

// idleTicks returns the sum of idle and iowait in the first line of /proc/stat, proc_stat(5).
func idleTicks(stat []byte) (sum uint64, ok bool) {
	line, _, whole := bytes.Cut(stat, []byte{'\n'})
	fields := bytes.Fields(line)
	if !whole || len(fields) < 6 || string(fields[0]) != "cpu" {
		return 0, false
	}
	for _, f := range fields[4:6] {
		n, err := strconv.ParseUint(string(f), 10, 64)
		if err != nil {
			return 0, false
		}
		sum += n
	}
	return sum, true
}
