package reactor

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"
)

// halfClosed is the connections whose peer has shut down its sending side and is still owed output.
// gnet closes them at that moment, so each goes on with a descriptor and a goroutine of its own.
type halfClosed struct {
	mu      sync.Mutex
	sockets map[net.Conn]*halfOpen
	ended   sync.WaitGroup
}

// halfOpen is one of them.
type halfOpen struct{ since atomic.Int64 } // when it last took something, in Server.uptime

// relieve ends the one that has taken nothing for longest, if that was since before a moment.
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

// count returns how many there are.
func (h *halfClosed) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.sockets)
}

// write goes on writing to a connection that is about to be closed. It keeps the connection's slot
// until it is done. false: it can't be done.
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

// stop gives up on all of them, and waits until they have ended.
func (h *halfClosed) stop() {
	h.mu.Lock()
	for socket := range h.sockets {
		socket.Close()
	}
	h.mu.Unlock()
	h.ended.Wait()
}

// dup returns a connection's socket once more, to be used with Go's own poller.
func dup(gc gnet.Conn) (net.Conn, error) {
	fd, err := gc.Dup()
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "half closed")
	defer file.Close()
	return net.FileConn(file)
}
