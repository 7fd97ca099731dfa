package disk

import (
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gearloop/test/await"
)

// To identify a file does not make the system note the time of its next write more finely than in ticks of the
// clock, as reading its times does: then each batch would change the inode.
func TestIdentifyReadsNoTimes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f, err := machine.Create(path, "")
	must(t, err)
	defer f.Close()
	tick := func() (at unix.Timespec) {
		must(t, unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &at))
		return at
	}
	write := func() {
		_, err := f.WriteAt([]byte("x"), 0)
		must(t, err)
	}
	// Others may get finer times at any moment, which then are the least for all files.
	await.Until(t, "a write that notes the time of a tick", func() bool {
		for began := tick(); tick() == began; time.Sleep(time.Millisecond) {
		}
		now := tick()
		write()
		id, err := machine.(identifier).identify(path)
		must(t, err)
		write()
		info, err := f.Stat()
		must(t, err)
		if want := identify(info); id != want || id == (fileID{}) {
			t.Fatalf("identified as %v, want %v", id, want)
		}
		return info.ModTime().UnixNano() <= now.Nano()
	})
}
