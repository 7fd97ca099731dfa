package main

import (
	"encoding/binary"
	"fmt"
	"sync"
)

// calls are requests of a client that await their results, at a server that knows no results: the job says which
// client's queue its result goes to.
type calls struct {
	client  uint32
	mu      sync.Mutex
	waiting map[uint64]chan answer // by what identifies a job
	err     error
}

func newCalls(client int) *calls {
	return &calls{client: uint32(client), waiting: map[uint64]chan answer{}}
}

// resultQueue is the queue of a client's results.
func resultQueue(client int) string { return fmt.Sprint("results-", client) }

// call sends a job and awaits its result.
func (c *calls) call(job []byte, send func(named []byte) error) ([]byte, error) {
	done := channels.Get().(chan answer)
	id := binary.BigEndian.Uint64(job)
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return nil, c.err
	}
	c.waiting[id] = done
	c.mu.Unlock()
	named := append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(job)), c.client), job...)
	if err := send(named); err != nil {
		return nil, err // done stays registered, and is used by nobody else
	}
	a := <-done
	channels.Put(done)
	return a.data, a.err
}

// caller returns a job's client and the job itself.
func caller(named []byte) (client int, job []byte) {
	if len(named) < 4 {
		return 0, nil
	}
	return int(binary.BigEndian.Uint32(named)), named[4:]
}

// answer hands a result to who awaits it.
func (c *calls) answer(result []byte) {
	if len(result) < headSize {
		return
	}
	id := binary.BigEndian.Uint64(result)
	c.mu.Lock()
	done := c.waiting[id]
	delete(c.waiting, id)
	c.mu.Unlock()
	if done != nil {
		done <- answer{data: result}
	}
}

// abort answers all who wait with an error.
func (c *calls) abort(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
	for id, done := range c.waiting {
		done <- answer{err: err}
		delete(c.waiting, id)
	}
}
