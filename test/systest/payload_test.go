package systest

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// sending sends a packet in its own goroutine, because a server does not accept all of a large one before
// somebody reads its output. The returned function waits until the packet is sent.
func sending(t *testing.T, c *wire.Conn, packet codec.Type, args ...string) (sent func()) {
	result := make(chan error, 1)
	c.SetWriteDeadline(time.Now().Add(wire.Limit))
	go func() {
		_, err := c.Write(codec.AppendRequest(nil, packet, args...))
		result <- err
	}()
	return func() {
		t.Helper()
		if err := <-result; err != nil {
			t.Fatalf("sending %v: %v", packet, err)
		}
	}
}

// TestPayloads sends arguments and results of all sizes through a fresh server. Its memory grows by about the
// payload's size: 6 MiB and a quarter of the payload are allowed beside it. Two copies of a large one would
// not pass.
func TestPayloads(t *testing.T) {
	const maxPacket = 64 << 20
	for _, size := range []int{0, 1, 64 << 10, 1 << 20, 16 << 20, maxPacket - 100} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			s := peers.Start(t, peers.Gearloop)
			idle := memory(t, s.PID, "VmRSS")
			worker, client := wire.Dial(t, s.Addr), wire.Dial(t, s.Addr)
			worker.Send(codec.CanDo, "f")
			argument := strings.Repeat("0123456789abcde\x00", size/16+1)[:size]
			sent := sending(t, client, codec.SubmitJob, "f", "", argument)
			handle := string(client.WantType(codec.JobCreated).Data)
			sent()
			got, data := worker.Grab()
			if got != handle || data != argument {
				t.Fatalf("job %s with %d bytes came as %s with %d", handle, size, got, len(data))
			}
			sent = sending(t, worker, codec.WorkComplete, handle, argument)
			client.Want(codec.WorkComplete, handle, argument)
			sent()
			grown := memory(t, s.PID, "VmHWM") - idle
			t.Logf("%d bytes: %.1f MiB at the peak", size, float64(grown)/(1<<20))
			if grown > size+size/4+6<<20 {
				t.Errorf("%d bytes took a peak of %d", size, grown)
			}
		})
	}
}
