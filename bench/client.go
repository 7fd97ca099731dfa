package bench

import (
	"encoding/binary"
	"fmt"
	"net"
	"time"

	"gearloop/codec"
)

// client is a connection that submits jobs and waits for their results.
type client struct {
	stream
	load    *Load
	head    []byte // of SUBMIT_JOB: function and unique id
	arg     []byte // argument: slot, number, filler
	slots   []slot
	number  uint32 // of the last job
	waiting int    // jobs under way
	latency Latencies
}

// slot is a place for a job that is under way.
type slot struct {
	number uint32 // of the job; 0 = none
	start  time.Time
}

func newClient(l *Load, c net.Conn) *client {
	cl := &client{
		stream: stream{conn: c}, load: l,
		head:  []byte(l.cfg.Function + "\x00\x00"),
		arg:   make([]byte, l.cfg.Payload),
		slots: make([]slot, l.cfg.Depth),
	}
	for i := MinPayload; i < len(cl.arg); i++ {
		cl.arg[i] = byte(i) | 1
	}
	return cl
}

// run submits jobs until there are no tickets left, and waits for all results.
func (c *client) run() error {
	for i := range c.slots {
		c.submit(uint32(i))
	}
	for c.waiting > 0 {
		if err := c.flush(); err != nil {
			return err
		}
		if err := c.read(c.packet); err != nil {
			return err
		}
	}
	return nil
}

// submit puts a new job into a slot, if there is a ticket for it.
func (c *client) submit(i uint32) {
	if !c.load.ticket() {
		return
	}
	if c.number++; c.number == 0 {
		c.number = 1
	}
	c.slots[i] = slot{c.number, time.Now()}
	c.waiting++
	binary.BigEndian.PutUint32(c.arg, i)
	binary.BigEndian.PutUint32(c.arg[4:], c.number)
	c.sendWith(codec.SubmitJob, c.head, c.arg)
}

// packet takes a result and submits the next job.
func (c *client) packet(t codec.Type, data []byte) error {
	switch t {
	case codec.JobCreated:
		return nil
	case codec.WorkComplete:
	default:
		return unexpected(t, data)
	}
	_, result, ok := codec.Cut(data)
	if !ok || len(result) != len(c.arg) {
		return unexpected(t, data)
	}
	i, number := binary.BigEndian.Uint32(result), binary.BigEndian.Uint32(result[4:])
	if int(i) >= len(c.slots) || c.slots[i].number != number || number == 0 {
		return fmt.Errorf("result of job %d in slot %d, which is not under way", number, i)
	}
	if last := len(result) - 1; last >= MinPayload && result[last] != c.arg[last] {
		return fmt.Errorf("the result of job %d ends in something else than its argument", number)
	}
	c.latency.Add(time.Since(c.slots[i].start))
	c.slots[i].number = 0
	c.waiting--
	c.load.done.Add(1)
	c.submit(i)
	return nil
}
