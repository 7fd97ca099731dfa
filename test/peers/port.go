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

// given are the ports that FreePort has returned.
var given struct {
	mu    sync.Mutex
	ports map[int]bool
}

// FreePort returns a TCP port of 127.0.0.1 that nobody listened on a moment ago, and no port twice. A test in another
// process may take it first, which is unlikely.
func FreePort() (int, error) {
	given.mu.Lock()
	defer given.mu.Unlock()
	var last error
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if given.ports[port] {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port))
		if err != nil {
			last = err
			continue
		}
		if given.ports == nil {
			given.ports = map[int]bool{}
		}
		given.ports[port] = true
		return port, l.Close()
	}
	return 0, errors.Join(fmt.Errorf("no free port from %d to %d", firstPort, lastPort), last)
}
