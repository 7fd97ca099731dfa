package reactor

import (
	"net"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/wire"
)

// A peer that has little in flight at a time, as libgearman's clients, is not delayed by 40 ms again and
// again while it sends a large packet.
func TestLargePacketFromSmallBuffer(t *testing.T) {
	r := newTLSRig(t, false)
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			send := func(buffer int) time.Duration {
				var socket *net.TCPConn
				var c *wire.Conn
				if secure {
					socket = r.tcp()
				} else {
					c = r.plain()
					socket = c.Conn.(*net.TCPConn)
				}
				if buffer > 0 {
					if err := socket.SetWriteBuffer(buffer); err != nil {
						t.Fatal(err)
					}
				}
				if secure {
					c = r.secureOver(socket, r.client)
				}
				c.Sync()
				data := strings.Repeat("x", 30<<20)
				begun := time.Now()
				c.Send(codec.EchoReq, data)
				took := time.Since(begun)
				c.WantType(codec.EchoRes)
				c.Close()
				return took
			}
			// With the delay it would take 500 times 40 ms each time. A busy machine may be as slow now and then.
			var usual, small time.Duration
			for try := 0; try == 0 || try < 3 && small > 5*usual+3*time.Second; try++ {
				usual, small = send(0), send(32<<10)
			}
			if small > 5*usual+3*time.Second {
				t.Errorf("sending took %v, with a large buffer %v", small, usual)
			}
		})
	}
}
