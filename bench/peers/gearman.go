package main

import (
	"bufio"
	"fmt"
	"net"

	"gearloop/codec"
)

// maxResponse is the largest packet that a server may send, in bytes.
const maxResponse = 1 << 20

// gearman is a server that speaks Gearman.
type gearman struct{ addr string }

func (g gearman) client(int) (client, error) {
	p, err := dialPipe(g.addr, readResponses)
	return gearmanClient{p}, err
}

// gearmanClient submits jobs.
type gearmanClient struct{ *pipe }

func (c gearmanClient) submit(queue string, job []byte) error {
	_, err := c.do(false, func(out []byte) []byte { return appendJob(out, codec.SubmitJobBg, queue, job) })
	return err
}

func (c gearmanClient) request(queue string, job []byte) ([]byte, error) {
	return c.do(true, func(out []byte) []byte { return appendJob(out, codec.SubmitJob, queue, job) })
}

func appendJob(out []byte, t codec.Type, queue string, job []byte) []byte {
	out = codec.AppendRequestHeader(out, t, len(queue)+2+len(job))
	out = append(append(out, queue...), 0, 0) // no unique id
	return append(out, job...)
}

func readResponses(p *pipe) (err error) {
	jobs := map[string]chan answer{} // who awaits a result, by handle
	defer func() {
		for _, w := range jobs {
			w <- answer{err: err}
		}
	}()
	for {
		r, err := codec.ReadResponse(p.in, maxResponse)
		if err != nil {
			return err
		}
		switch r.Type {
		case codec.JobCreated:
			w, err := p.next()
			if err != nil {
				return err
			}
			if w.twofold {
				jobs[string(r.Data)] = w.done
			} else {
				w.done <- answer{}
			}
		case codec.WorkComplete:
			handle, result, _ := codec.Cut(r.Data)
			done, ok := jobs[string(handle)]
			if !ok {
				return fmt.Errorf("a result of no job: %v", r)
			}
			delete(jobs, string(handle))
			done <- answer{data: result}
		default:
			return fmt.Errorf("unexpected packet: %v", r)
		}
	}
}

func (g gearman) worker(queue string, do func(job []byte) []byte) (*worker, error) {
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		return nil, err
	}
	return &worker{func() error { return grab(conn, queue, do) }, func() { conn.Close() }}, nil
}

// grab does jobs until an error.
func grab(conn net.Conn, queue string, do func(job []byte) []byte) error {
	in := bufio.NewReader(conn)
	out := codec.AppendRequest(codec.AppendRequest(nil, codec.CanDo, queue), codec.GrabJob)
	for {
		if _, err := conn.Write(out); err != nil {
			return err
		}
		r, err := codec.ReadResponse(in, maxResponse)
		for ; err == nil && r.Type == codec.Noop; r, err = codec.ReadResponse(in, maxResponse) {
			// It was woken while it was awake.
		}
		if err != nil {
			return err
		}
		out = out[:0]
		switch r.Type {
		case codec.NoJob:
			if _, err := conn.Write(codec.AppendRequest(out, codec.PreSleep)); err != nil {
				return err
			}
			if r, err = codec.ReadResponse(in, maxResponse); err != nil || r.Type != codec.Noop {
				return fmt.Errorf("asleep: %v, %w", r, err)
			}
		case codec.JobAssign:
			handle, rest, _ := codec.Cut(r.Data)
			_, argument, ok := codec.Cut(rest)
			if !ok {
				return fmt.Errorf("unexpected packet: %v", r)
			}
			result := do(argument)
			out = codec.AppendRequestHeader(out, codec.WorkComplete, len(handle)+1+len(result))
			out = append(append(append(out, handle...), 0), result...)
		default:
			return fmt.Errorf("unexpected packet: %v", r)
		}
		out = codec.AppendRequest(out, codec.GrabJob)
	}
}
