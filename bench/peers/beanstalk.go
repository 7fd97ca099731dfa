package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// beanstalk is a beanstalkd. Queues are tubes; for requests each client has a tube of its own for the results.
type beanstalk struct{ addr string }

// put is how jobs are put: at a usual priority, at once, with a minute to run.
const put = "put 1024 0 60 "

type beanstalkClient struct {
	*pipe
	*calls
	used    string // the tube that puts go to; the pipe's lock guards it
	results *worker
}

func (b beanstalk) client(n int) (client, error) {
	p, err := dialPipe(b.addr, readInserted)
	if err != nil {
		return nil, err
	}
	c := &beanstalkClient{pipe: p, calls: newCalls(n)}
	c.results, err = b.worker(resultQueue(n), func(result []byte) []byte {
		c.answer(result)
		return nil
	})
	if err == nil {
		go func() { c.abort(c.results.run()) }()
	}
	return c, err
}

func (c *beanstalkClient) close() {
	c.results.close()
	c.pipe.close()
}

func (c *beanstalkClient) submit(queue string, job []byte) error {
	_, err := c.do(false, func(out []byte) []byte {
		if c.used != queue {
			c.used = queue
			out = append(append(append(out, "use "...), queue...), "\r\n"...)
		}
		return appendPut(out, job)
	})
	return err
}

func appendPut(out, job []byte) []byte {
	out = strconv.AppendInt(append(out, put...), int64(len(job)), 10)
	return append(append(append(out, "\r\n"...), job...), "\r\n"...)
}

func (c *beanstalkClient) request(queue string, job []byte) ([]byte, error) {
	return c.call(job, func(named []byte) error { return c.submit(queue, named) })
}

func readInserted(p *pipe) error {
	for {
		line, err := p.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if bytes.HasPrefix(line, []byte("USING ")) {
			continue
		}
		if !bytes.HasPrefix(line, []byte("INSERTED ")) {
			return fmt.Errorf("put: %q", line)
		}
		w, err := p.next()
		if err != nil {
			return err
		}
		w.done <- answer{}
	}
}

func (b beanstalk) worker(queue string, do func(job []byte) []byte) (*worker, error) {
	conn, err := net.Dial("tcp", b.addr)
	if err != nil {
		return nil, err
	}
	return &worker{func() error { return reserve(conn, queue, do) }, func() { conn.Close() }}, nil
}

// reserve does jobs until an error. The end of one and the request for the next share a write.
func reserve(conn net.Conn, queue string, do func(job []byte) []byte) error {
	in := bufio.NewReader(conn)
	used := -1
	out := []byte("watch " + queue + "\r\nignore default\r\nreserve\r\n")
	for {
		if _, err := conn.Write(out); err != nil {
			return err
		}
		var line string
		for !strings.HasPrefix(line, "RESERVED ") {
			var err error
			if line, err = in.ReadString('\n'); err != nil {
				return err
			}
			switch word, _, _ := strings.Cut(strings.TrimSpace(line), " "); word {
			case "RESERVED", "WATCHING", "USING", "INSERTED", "DELETED":
			default:
				return fmt.Errorf("reserve: %q", line)
			}
		}
		fields := strings.Fields(line)
		size, err := strconv.Atoi(fields[len(fields)-1])
		if err != nil || len(fields) != 3 {
			return fmt.Errorf("reserve: %q", line)
		}
		job := make([]byte, size+2)
		if _, err := io.ReadFull(in, job); err != nil {
			return err
		}
		out = out[:0]
		if isCall(queue) {
			client, argument := caller(job[:size])
			if client != used {
				used = client
				out = append(append(append(out, "use "...), resultQueue(client)...), "\r\n"...)
			}
			out = appendPut(out, do(argument))
		} else {
			do(job[:size])
		}
		out = append(append(append(out, "delete "...), fields[1]...), "\r\nreserve\r\n"...)
	}
}
