package reactor

import (
	"bytes"
	"math"
	"os"
	"path"
	"strconv"
	"strings"
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

// quota is how much processor time the control groups of this process leave it. Where that is less than the machine has,
// a processor that is idle may not be for this process: the kernel then stops it until the next period.
type quota struct {
	sought bool
	files  [][]string // of each group: cpu.max, or cpu.cfs_quota_us and cpu.cfs_period_us of version 1
}

// processors returns the quota in processors, infinity if there is none. It may change while the process runs.
func (q *quota) processors() float64 {
	if !q.sought {
		q.sought = true
		groups, _ := os.ReadFile("/proc/self/cgroup")
		q.files = quotaFiles(string(groups), "/sys/fs/cgroup")
	}
	least := math.Inf(1)
	for _, files := range q.files {
		var fields []string
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return least
			}
			fields = append(fields, strings.Fields(string(text))...)
		}
		least = min(least, quotaOf(fields))
	}
	return least
}

// quotaOf returns the processors that a quota and its period mean, in microseconds each. "max" or -1: no quota.
func quotaOf(fields []string) float64 {
	if len(fields) != 2 {
		return math.Inf(1)
	}
	most, err := strconv.ParseFloat(fields[0], 64)
	period, err2 := strconv.ParseFloat(fields[1], 64)
	if err != nil || err2 != nil || most <= 0 || period <= 0 {
		return math.Inf(1)
	}
	return most / period
}

// quotaFiles returns the files of all groups above a process that may have a quota. groups is its /proc/self/cgroup
// (cgroups(7)), root where control groups are mounted. In a container a process may see its own group as the root.
func quotaFiles(groups, root string) (all [][]string) {
	for line := range strings.Lines(groups) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		var top string
		var names []string
		switch {
		case fields[0] == "0":
			top, names = root, []string{"cpu.max"}
		case strings.Contains(","+fields[1]+",", ",cpu,"):
			top, names = root+"/cpu", []string{"cpu.cfs_quota_us", "cpu.cfs_period_us"}
		default:
			continue
		}
		for dir := path.Clean("/" + fields[2]); ; dir = path.Dir(dir) {
			var files []string
			for _, name := range names {
				if file := path.Join(top, dir, name); exists(file) {
					files = append(files, file)
				}
			}
			if len(files) == len(names) {
				all = append(all, files)
			}
			if dir == "/" {
				break
			}
		}
	}
	return all
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
