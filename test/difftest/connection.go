package difftest

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"gearloop/test/peers"

	"gearloop/test/await"
)

// stepLimit bounds every wait for something that must come.
var stepLimit = await.Limit

// event is something that the server sent on a connection.
type event struct {
	kind   eventKind
	number uint32 // of a packet
	data   string // of a packet, or the text line including its end
}

type eventKind int

const (
	packetEvent eventKind = iota
	lineEvent
	brokenEvent // bytes before the end that form neither frame nor line
	closedEvent
)

// name is the name of the event in expect steps.
func (e event) name() string {
	switch e.kind {
	case packetEvent:
		return packetName(e.number)
	case lineEvent:
		return e.data
	case closedEvent:
		return "closed"
	}
	return "broken"
}

// connection is one connection of a scenario.
type connection struct {
	name string
	sock *net.TCPConn
	fd   string // its descriptor in the server, from "workers"
	// gathered is what was sent since begin; nil if nothing is gathered.
	gathered []byte
	// held: no barrier may be sent on it now.
	held bool
	// listings are the text commands whose rows must be sorted, oldest first.
	listings []string
	habits

	mu       sync.Mutex
	changed  *sync.Cond
	events   []event
	reported int             // number of events in the transcript
	due      int             // number of events that may go into the transcript
	expected int             // an expect step searches from this event on
	echoes   map[string]bool // answered barriers
	over     bool            // the server has closed
}

func connect(name string, server *peers.Server) (*connection, error) {
	sock, err := server.Dial()
	if err != nil {
		return nil, err
	}
	c := &connection{name: name, sock: sock.(*net.TCPConn), echoes: map[string]bool{}}
	c.changed = sync.NewCond(&c.mu)
	go c.receive()
	return c, nil
}

// receive reads until the server closes the connection. It does not distinguish a reset, which depends on
// what the server has not read.
func (c *connection) receive() {
	in := bufio.NewReaderSize(c.sock, 64<<10)
	for {
		e, err := readEvent(in)
		if err != nil {
			e = event{kind: closedEvent}
		}
		c.deliver(e)
		if err != nil {
			return
		}
	}
}

func readEvent(in *bufio.Reader) (event, error) {
	first, err := in.Peek(1)
	if err != nil {
		return event{}, err
	}
	if first[0] != 0 {
		line, err := in.ReadString('\n')
		if err != nil {
			return event{kind: brokenEvent, data: line}, nil
		}
		return event{kind: lineEvent, data: line}, nil
	}
	var head [headerLength]byte
	if n, err := io.ReadFull(in, head[:]); err != nil || string(head[:4]) != responseMagic {
		return event{kind: brokenEvent, data: string(head[:n])}, nil
	}
	e := event{number: binary.BigEndian.Uint32(head[4:])}
	data := make([]byte, binary.BigEndian.Uint32(head[8:]))
	n, err := io.ReadFull(in, data)
	e.data = string(data[:n])
	if err != nil {
		e.kind = brokenEvent
	}
	return e, nil
}

func (c *connection) deliver(e event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.kind == packetEvent && e.number == echoRes && strings.HasPrefix(e.data, barrierMark) {
		c.echoes[e.data] = true
	} else {
		c.events = append(c.events, e)
	}
	c.over = c.over || e.kind == closedEvent
	c.changed.Broadcast()
}

// await waits for the condition, which is called with c.mu held.
func (c *connection) await(condition func() bool) bool {
	timeout := false
	timer := time.AfterFunc(stepLimit, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		timeout = true
		c.changed.Broadcast()
	})
	defer timer.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for !condition() {
		if timeout {
			return false
		}
		c.changed.Wait()
	}
	return true
}

// write sends bytes now.
func (c *connection) write(data string) error {
	c.mu.Lock()
	c.expected = len(c.events)
	c.mu.Unlock()
	return c.writeSilently(data)
}

// writeSilently sends bytes that are not a step of the scenario.
func (c *connection) writeSilently(data string) error {
	c.sock.SetWriteDeadline(time.Now().Add(stepLimit))
	_, err := io.WriteString(c.sock, data)
	if os.IsTimeout(err) {
		return fmt.Errorf("%s: the server does not read", c.name)
	}
	if err != nil {
		// The server has closed the connection, or is about to: the reader will notice.
		c.await(func() bool { return c.over })
	}
	return nil
}

// send writes a step's bytes, or gathers them.
func (c *connection) send(data string) error {
	if c.gathered != nil {
		c.gathered = append(c.gathered, data...)
		return nil
	}
	return c.write(data)
}

func (c *connection) isOver() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.over
}

// drain returns the events since the last call: all of them, or those up to the last one expected. Without a
// barrier it is undetermined what else has arrived.
func (c *connection) drain(all bool) []event {
	c.mu.Lock()
	defer c.mu.Unlock()
	if all {
		c.due = len(c.events)
	}
	from := c.reported
	c.reported = max(c.reported, c.due)
	return c.events[from:c.reported]
}

// release lets the next drain return everything received so far.
func (c *connection) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.due = len(c.events)
}

// expect waits for an event of that name after the last send that no earlier step expected. The end of the
// connection may have come before: the server decides when it notices why to close it.
func (c *connection) expect(name string) error {
	found := c.await(func() bool {
		from := c.expected
		if name == "closed" {
			from = 0
		}
		for i := from; i < len(c.events); i++ {
			if e := c.events[i]; e.name() == name || e.kind == lineEvent && strings.HasPrefix(e.data, name) {
				c.expected, c.due = i+1, max(c.due, i+1)
				return true
			}
		}
		return false
	})
	if !found {
		return fmt.Errorf("%s: no %q came", c.name, name)
	}
	return nil
}

// reset closes the connection with a TCP reset.
func (c *connection) reset() {
	c.sock.SetLinger(0)
	c.sock.Close()
}
