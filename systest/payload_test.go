package systest

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"gearloop/codec"
	"gearloop/peers"
	"gearloop/systest/wire"
)

// memory returns a figure of a process from /proc, in bytes: VmHWM is its peak, VmRSS its present memory.
func memory(t *testing.T, pid int, figure string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(figure + `:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("no %s in the status of process %d", figure, pid)
	}
	kib, _ := strconv.Atoi(string(m[1]))
	return kib << 10
}

// TestPayloads sends arguments and results of all sizes through a fresh server. Its peak memory is near
// the payload's size: an idle server takes 10 MiB, so 16 and a quarter of the payload are allowed beside
// it. Two copies of a large one would not pass.
func TestPayloads(t *testing.T) {
	const maxPacket = 64 << 20
	for _, size := range []int{0, 1, 64 << 10, 1 << 20, 16 << 20, maxPacket - 100} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			s := peers.Start(t, peers.Gearloop)
			worker, client := wire.Dial(t, s.Addr), wire.Dial(t, s.Addr)
			worker.Send(codec.CanDo, "f")
			argument := strings.Repeat("0123456789abcde\x00", size/16+1)[:size]
			sent := make(chan string)
			go func() { sent <- client.Submit(codec.SubmitJob, "f", "", argument) }()
			handle := <-sent
			got, data := worker.Grab()
			if got != handle || data != argument {
				t.Fatalf("job %s with %d bytes came as %s with %d", handle, size, got, len(data))
			}
			done := make(chan struct{})
			go func() { defer close(done); worker.Send(codec.WorkComplete, handle, argument) }()
			client.Want(codec.WorkComplete, handle, argument)
			<-done
			peak := memory(t, s.PID, "VmHWM")
			t.Logf("%d bytes: peak memory %.1f MiB", size, float64(peak)/(1<<20))
			if peak > size+size/4+16<<20 {
				t.Errorf("%d bytes took a peak of %d", size, peak)
			}
		})
	}
}
