package main

import (
	"fmt"
	"strconv"

	"gearloop/codec"
)

const handlePrefix = "H:f:"

// job is one that waits or is being done.
type job struct {
	client *conn // nil: a background job
	arg    []byte
	whole  []byte // the large buffer that arg lies in; nil: arg has one of its own
}

// function is a queue of jobs and a stack of sleepers.
type function struct {
	name     string
	queue    []uint32 // jobs, from head on
	head     int
	sleepers []*ability
}

// ability is a function that a worker can do.
type ability struct {
	conn *conn
	*function
	listed bool // it is in function.sleepers, perhaps from an earlier sleep
}

// worker is what a connection is as a worker.
type worker struct {
	abilities []*ability
	next      int // of abilities: where to look first
	asleep    bool
}

// packet handles a packet. Owned data may be kept.
func (r *relay) packet(c *conn, t codec.Type, data []byte, owned bool) error {
	switch t {
	case codec.SubmitJob, codec.SubmitJobBg:
		name, rest, _ := codec.Cut(data)
		_, arg, _ := codec.Cut(rest)
		j := job{arg: arg, whole: data}
		if !owned {
			j.arg, j.whole = r.copyOf(arg), nil
		}
		if t == codec.SubmitJob {
			j.client = c
		}
		r.submit(c, r.function(name), j)
	case codec.GrabJob, codec.GrabJobUniq, codec.GrabJobAll:
		r.grab(c)
	case codec.WorkComplete:
		handle, result, _ := codec.Cut(data)
		r.complete(handle, result)
		r.recycle(data, owned)
	case codec.PreSleep:
		r.sleep(c)
	case codec.CanDo:
		c.abilities = append(c.abilities, &ability{conn: c, function: r.function(data)})
	case codec.EchoReq:
		c.out = codec.AppendHeader(c.out, codec.EchoRes, len(data))
		r.payload(c, data)
		r.recycle(data, owned)
	default:
		return fmt.Errorf("%s is not understood", t)
	}
	return nil
}

func (r *relay) function(name []byte) *function {
	f := r.functions[string(name)]
	if f == nil {
		f = &function{name: string(name)}
		r.functions[f.name] = f
	}
	return f
}

func (r *relay) submit(c *conn, f *function, j job) {
	var n uint32
	if last := len(r.free) - 1; last >= 0 {
		n, r.free = r.free[last], r.free[:last]
		r.jobs[n] = j
	} else {
		n = uint32(len(r.jobs))
		r.jobs = append(r.jobs, j)
	}
	f.queue = append(f.queue, n)
	var digits [10]byte
	number := strconv.AppendUint(digits[:0], uint64(n), 10)
	c.out = codec.AppendHeader(c.out, codec.JobCreated, len(handlePrefix)+len(number))
	c.out = append(append(c.out, handlePrefix...), number...)
	r.touch(c)
	f.wake(r)
}

// wake wakes a sleeper.
func (f *function) wake(r *relay) {
	for last := len(f.sleepers) - 1; last >= 0; last-- {
		a := f.sleepers[last]
		f.sleepers = f.sleepers[:last]
		a.listed = false
		if a.conn.asleep && !a.conn.gone {
			r.noop(a.conn)
			return
		}
	}
}

func (r *relay) noop(c *conn) {
	c.asleep = false
	c.out = codec.AppendHeader(c.out, codec.Noop, 0)
	r.touch(c)
}

// pop takes the first job off a function's queue; 0 when there is none.
func (f *function) pop() uint32 {
	if f.head == len(f.queue) {
		return 0
	}
	n := f.queue[f.head]
	if f.head++; f.head == len(f.queue) {
		f.queue, f.head = f.queue[:0], 0
	}
	return n
}

func (r *relay) grab(c *conn) {
	for range c.abilities {
		if c.next++; c.next >= len(c.abilities) {
			c.next = 0
		}
		f := c.abilities[c.next].function
		n := f.pop()
		if n == 0 {
			continue
		}
		j := &r.jobs[n]
		var digits [10]byte
		number := strconv.AppendUint(digits[:0], uint64(n), 10)
		c.out = codec.AppendHeader(c.out, codec.JobAssign, len(handlePrefix)+len(number)+1+len(f.name)+1+len(j.arg))
		c.out = append(append(c.out, handlePrefix...), number...)
		c.out = append(append(append(c.out, 0), f.name...), 0)
		r.payload(c, j.arg)
		if j.whole != nil {
			r.large = append(r.large, j.whole)
		} else {
			r.spare = append(r.spare, j.arg)
		}
		j.arg, j.whole = nil, nil
		return
	}
	c.out = codec.AppendHeader(c.out, codec.NoJob, 0)
	r.touch(c)
}

func (r *relay) complete(handle, result []byte) {
	n := 0
	for _, digit := range handle[len(handlePrefix):] {
		n = 10*n + int(digit-'0')
	}
	client := r.jobs[n].client
	r.free = append(r.free, uint32(n))
	if client == nil || client.gone {
		return
	}
	client.out = codec.AppendHeader(client.out, codec.WorkComplete, len(handle)+1+len(result))
	client.out = append(append(client.out, handle...), 0)
	r.payload(client, result)
}

// sleep puts a worker to sleep, unless a job waits for it.
func (r *relay) sleep(c *conn) {
	for _, a := range c.abilities {
		if a.head < len(a.queue) {
			r.noop(c)
			return
		}
	}
	c.asleep = true
	for _, a := range c.abilities {
		if !a.listed {
			a.listed = true
			a.sleepers = append(a.sleepers, a)
		}
	}
}
