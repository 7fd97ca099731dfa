package reactor

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"
)

// halfClosed holds the connections whose peer has shut down its sending side and still gets output. gnet
// closes such a connection, so each continues with a descriptor and a goroutine of its own.
type halfClosed struct {
	mu      sync.Mutex
	sockets map[net.Conn]*halfOpen
	ended   sync.WaitGroup
}

// halfOpen is one of these connections.
type halfOpen struct{ since atomic.Int64 } // last progress, in Server.uptime

// relieve closes the connection that has made no progress for longest, if that is since before a moment.
func (h *halfClosed) relieve(before time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	first := int64(before)
	var worst net.Conn
	for socket, half := range h.sockets {
		if since := half.since.Load(); since < first {
			worst, first = socket, since
		}
	}
	if worst == nil {
		return false
	}
	delete(h.sockets, worst)
	return worst.Close() == nil
}

// count returns the number of these connections.
func (h *halfClosed) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.sockets)
}

// write continues to write to a connection that gnet is about to close. It keeps the connection's slot until
// it is done. It returns false if that is impossible.
func (h *halfClosed) write(c *conn) bool {
	if h.count() >= maxHalfClosed {
		return false
	}
	socket, err := dup(c.gc)
	if err != nil {
		return false
	}
	out, secure := c.out, c.tls
	c.out, c.tls = output{total: out.total}, nil
	server, slot := c.loop.server, c.slot
	half := &halfOpen{}
	took := func() { half.since.Store(int64(server.uptime())) }
	took()
	h.mu.Lock()
	h.sockets[socket] = half
	h.mu.Unlock()
	h.ended.Go(func() {
		if secure != nil {
			secure.socket = socket
			secure.finish(&out, halfClosedTime, took)
		}
		for secure == nil && !out.empty() {
			socket.SetWriteDeadline(time.Now().Add(halfClosedTime))
			out.produceAll()
			n, err := socket.Write(out.first())
			if err != nil {
				break
			}
			out.written(n)
			out.publish()
			took()
		}
		out.release()
		socket.Close()
		server.slots.give(slot)
		h.mu.Lock()
		delete(h.sockets, socket)
		h.mu.Unlock()
	})
	return true
}

// stop closes all of them and waits until they have ended.
func (h *halfClosed) stop() {
	h.mu.Lock()
	for socket := range h.sockets {
		socket.Close()
	}
	h.mu.Unlock()
	h.ended.Wait()
}

// dup duplicates a connection's socket for use with Go's poller.
func dup(gc gnet.Conn) (net.Conn, error) {
	fd, err := gc.Dup()
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "half closed")
	defer file.Close()
	return net.FileConn(file)
}
