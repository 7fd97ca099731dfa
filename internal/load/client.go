package load

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"gearloop/codec"
)

// client is a connection that submits jobs.
type client struct {
	*conn
	index     int
	heads     [][]byte // for each function, the first arguments of SUBMIT_JOB up to the unique id
	slots     []slot
	free      []uint32 // slots without a job
	submitted int
	number    uint32 // of the last job
	head      []byte // scratch

	// Background mode: submission times of jobs without JOB_CREATED, in order, from first on.
	waiting []int64
	first   int
}

// slot is a job in flight.
type slot struct {
	number uint32 // of the job; 0 = none
	start  int64
}

func (c *client) String() string { return "client" }

func newClient(conn *conn, index int) *client {
	c := &client{conn: conn, index: index}
	for _, name := range conn.loop.load.names {
		c.heads = append(c.heads, []byte(name+"\x00"))
	}
	conn.receiver = c
	conn.send(codec.EchoReq, "ready")
	return c
}

func (c *client) ready() { c.loop.load.readied <- struct{}{} }

// begin submits as many jobs as should be in flight.
func (c *client) begin() {
	for range c.loop.load.cfg.Depth {
		c.submit(c.loop.now)
	}
}

// submit submits a job, unless all have been submitted.
func (c *client) submit(start int64) {
	l := c.loop
	if l.submitting = l.submitting && l.load.ticket(); !l.submitting {
		return
	}
	if l.load.cfg.Connect {
		start = l.load.now()
		if err := c.reconnect(); err != nil {
			l.load.fail(err)
			return
		}
	}
	l.inFlight++
	if c.number++; c.number == 0 {
		c.number = 1
	}
	var tag [MinPayload]byte
	cfg := &l.load.cfg
	if cfg.Mode == Background {
		c.waiting = append(c.waiting, start)
	} else {
		i := c.slot()
		c.slots[i] = slot{c.number, start}
		binary.BigEndian.PutUint32(tag[:], i)
	}
	binary.BigEndian.PutUint32(tag[4:], c.number)
	padding := l.load.padding[MinPayload:cfg.Payload]
	if cfg.Mode == Echo {
		c.sendWith(codec.EchoReq, nil, tag[:], padding)
		return
	}
	c.head = append(c.head[:0], c.heads[(c.index+c.submitted*cfg.Clients)%len(c.heads)]...)
	c.submitted++
	if cfg.Unique {
		c.head = strconv.AppendInt(append(c.head, l.load.uniques...), int64(c.index), 36)
		c.head = strconv.AppendUint(append(c.head, '-'), uint64(c.number), 36)
	}
	c.head = append(c.head, 0)
	t := codec.SubmitJob
	if cfg.Mode == Background {
		t = codec.SubmitJobBg
	}
	c.sendWith(t, c.head, tag[:], padding)
}

func (c *client) slot() uint32 {
	if last := len(c.free) - 1; last >= 0 {
		i := c.free[last]
		c.free = c.free[:last]
		return i
	}
	c.slots = append(c.slots, slot{})
	return uint32(len(c.slots) - 1)
}

// packet handles a packet about a job.
func (c *client) packet(f frame) error {
	cfg := &c.loop.load.cfg
	switch {
	case f.typ == codec.JobCreated && cfg.Mode == Background:
		return c.created()
	case f.typ == codec.JobCreated && cfg.Mode == Foreground:
		return nil
	case f.typ == codec.WorkComplete && cfg.Mode == Foreground:
		handle, result, ok := codec.Cut(f.data)
		if !ok {
			return unexpected(f)
		}
		return c.done(result, f.size-len(handle)-1, cfg.Result, f)
	case f.typ == codec.EchoRes && cfg.Mode == Echo:
		return c.done(f.data, f.size, cfg.Payload, f)
	case f.typ == codec.WorkFail:
		return fmt.Errorf("a job has failed (WORK_FAIL)")
	case f.typ == codec.Error:
		return fmt.Errorf("error from the server: %.200q", f.data)
	}
	return unexpected(f)
}

// created handles JOB_CREATED for the oldest waiting job.
func (c *client) created() error {
	if c.first == len(c.waiting) {
		return fmt.Errorf("JOB_CREATED for no job")
	}
	start := c.waiting[c.first]
	if c.first++; c.first == len(c.waiting) {
		c.waiting, c.first = c.waiting[:0], 0
	} else if c.first > 4096 && c.first*2 > len(c.waiting) {
		c.waiting, c.first = c.waiting[:copy(c.waiting, c.waiting[c.first:])], 0
	}
	c.over(start)
	return nil
}

// done handles a result: its beginning, its size, and the size that it should have.
func (c *client) done(result []byte, size, want int, f frame) error {
	if size != want || len(result) < MinPayload {
		return fmt.Errorf("a result of %d bytes, not %d", size, want)
	}
	i, number := binary.BigEndian.Uint32(result), binary.BigEndian.Uint32(result[4:])
	if int(i) >= len(c.slots) || c.slots[i].number != number || number == 0 {
		return fmt.Errorf("result of job %d in place %d, which is not under way", number, i)
	}
	if size > MinPayload && f.last != c.loop.load.padding[size-1] {
		return fmt.Errorf("the result of job %d ends in something else than was sent", number)
	}
	start := c.slots[i].start
	c.slots[i].number = 0
	c.free = append(c.free, i)
	c.over(start)
	return nil
}

// over counts a finished job and submits the next one.
func (c *client) over(start int64) {
	c.loop.finish(start)
	if c.loop.schedule.interval == 0 {
		c.submit(c.loop.now)
	}
}
