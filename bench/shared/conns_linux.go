package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"gearloop/codec"
)

func dial(ctx context.Context, addr string) (net.Conn, *bufio.Reader, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	return c, bufio.NewReaderSize(c, 64<<10), ctx.Err()
}

const readLimit = time.Minute

// client submits background jobs, with a number of them in flight, until ctx ends; then it waits for the
// answers that it is owed.
func client(ctx context.Context, addr string, depth int, n *counts) error {
	c, in, err := dial(ctx, addr)
	if err != nil {
		return err
	}
	defer c.Close()
	var out []byte
	begun := make([]time.Time, 0, depth) // answers come in the order of the submissions
	submit := func() {
		begun = append(begun, time.Now())
		out = codec.AppendRequest(out, codec.SubmitJobBg, fmt.Sprint("f", len(begun)%functions), unique(), string(argument))
	}
	for range depth {
		submit()
	}
	for len(begun) > 0 {
		if _, err := c.Write(out); err != nil {
			return err
		}
		out = out[:0]
		c.SetReadDeadline(time.Now().Add(readLimit))
		for answered := 0; answered == 0 || in.Buffered() > 0 && len(begun) > 0; answered++ {
			answer, err := codec.ReadResponse(in, 1<<20)
			if err != nil {
				return err
			}
			if answer.Type != codec.JobCreated {
				return fmt.Errorf("%v instead of JOB_CREATED", answer)
			}
			n.in.Add(1)
			n.took(time.Since(begun[0]))
			begun = begun[:copy(begun, begun[1:])]
			if ctx.Err() == nil {
				submit()
			}
		}
	}
	return nil
}

// abilities appends what a worker says first.
func abilities(out []byte) []byte {
	for f := range functions {
		out = codec.AppendRequest(out, codec.CanDo, fmt.Sprint("f", f))
	}
	return codec.AppendRequest(out, codec.GrabJob)
}

// worker does jobs until ctx ends.
func worker(ctx context.Context, addr string, n *counts) error {
	c, in, err := dial(ctx, addr)
	if err != nil {
		return nil //nolint:nilerr // ctx has ended, or clients report it too
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetReadDeadline(time.Unix(1, 0)) })()
	for out := abilities(nil); ; {
		if _, err := c.Write(out); err != nil {
			return ended(ctx, err)
		}
		answer, err := codec.ReadResponse(in, 1<<20)
		if err != nil {
			return ended(ctx, err)
		}
		out = out[:0]
		switch answer.Type {
		case codec.JobAssign:
			n.out.Add(1)
			out = codec.AppendRequest(out, codec.WorkComplete, answer.Args(3)[0], "")
			out = codec.AppendRequest(out, codec.GrabJob)
		case codec.NoJob:
			out = codec.AppendRequest(out, codec.PreSleep)
		default:
			out = codec.AppendRequest(out, codec.GrabJob)
		}
	}
}

// ended returns an error unless ctx has ended, which causes one.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// fill submits a number of jobs.
func fill(addr string, jobs int) error {
	var n counts
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		for ctx.Err() == nil && n.in.Load() < int64(jobs) {
			time.Sleep(time.Millisecond)
		}
		stop()
	}()
	return client(ctx, addr, 64, &n)
}

// grab grabs jobs and keeps them for as long as it takes.
func grab(addr string, jobs int) error {
	c, in, err := dial(context.Background(), addr)
	if err != nil {
		return err
	}
	defer c.Close()
	out := abilities(nil)
	for got := 0; got < jobs; got++ {
		if _, err := c.Write(out); err != nil {
			return err
		}
		answer, err := codec.ReadResponse(in, 1<<20)
		if err != nil {
			return err
		}
		if answer.Type != codec.JobAssign {
			return errors.New("there is no job to grab")
		}
		out = codec.AppendRequest(out[:0], codec.GrabJob)
	}
	return nil
}
