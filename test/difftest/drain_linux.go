package difftest

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// drained waits until the server has read everything that was written to c: the receive queue at its end is
// empty. One look is not enough, because the kernel reads its two ends one after the other and bytes may move
// in between.
func (c *connection) drained() error {
	deadline := time.Now().Add(stepLimit)
	for empty := 0; ; {
		n, err := unread(c.sock)
		if err != nil {
			return err
		}
		if n > 0 {
			empty = 0
		} else {
			empty++
		}
		if empty == 2 || c.isOver() {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: the server leaves %d bytes unread", c.name, n)
		}
		time.Sleep(200 * time.Microsecond)
	}
}

// unread returns how many bytes of a loopback connection are in transit or in the receive queue of the other
// end.
func unread(sock *net.TCPConn) (uint64, error) {
	f, err := os.Open("/proc/net/tcp")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	own, other := tableAddr(sock.LocalAddr()), tableAddr(sock.RemoteAddr())
	var total uint64
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		outgoing := strings.Contains(lines.Text(), own+" "+other)
		if !outgoing && !strings.Contains(lines.Text(), other+" "+own) {
			continue
		}
		var sending, receiving uint64
		queues := strings.Fields(lines.Text())[4]
		if _, err := fmt.Sscanf(queues, "%x:%x", &sending, &receiving); err != nil {
			return 0, err
		}
		if outgoing {
			total += sending
		} else {
			total += receiving
		}
	}
	return total, lines.Err()
}

// tableAddr formats an IPv4 address as in the kernel's table.
func tableAddr(a net.Addr) string {
	t := a.(*net.TCPAddr)
	ip := t.IP.To4()
	return fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], t.Port)
}
