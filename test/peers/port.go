package peers

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// FreePort picks from these ports. They are below those that systems give to outgoing connections and to listeners
// on port 0, so none of those takes the port meanwhile, nor while a server that has it starts again.
const (
	firstPort = 20_000
	lastPort  = 31_999
)

// given holds, for each TCP port that FreePort has returned, the UDP port of the same number until the process ends: a
// lock against other test processes. No test uses UDP ports of this range otherwise.
var given struct {
	mu    sync.Mutex
	locks map[int]net.PacketConn
}

// FreePort returns a TCP port of 127.0.0.1 that nobody listened on a moment ago. No port is returned twice, nor to two
// processes as long as both live.
func FreePort() (int, error) {
	given.mu.Lock()
	defer given.mu.Unlock()
	var last error
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if given.locks[port] != nil {
			continue
		}
		addr := fmt.Sprint("127.0.0.1:", port)
		lock, err := net.ListenPacket("udp", addr)
		if err != nil {
			last = err
			continue
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			lock.Close()
			last = err
			continue
		}
		if given.locks == nil {
			given.locks = map[int]net.PacketConn{}
		}
		given.locks[port] = lock
		return port, l.Close()
	}
	return 0, errors.Join(fmt.Errorf("no free port from %d to %d", firstPort, lastPort), last)
}
