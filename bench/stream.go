package bench

import (
	"fmt"
	"net"

	"gearloop/codec"
)

const (
	// maxResponse is the largest packet that is taken from a server, in bytes of data.
	maxResponse = 128 << 20
	// firstBuffer is the size of a new read buffer; it grows for frames that are larger.
	firstBuffer = 64 << 10
)

// stream reads packets from a connection and gathers what is to be written to it.
type stream struct {
	conn net.Conn
	in   []byte // read and not taken, from begin on
	out  []byte // to be written by flush

	begin int
}

// read reads once and calls f for each frame that is whole. Its data are valid during the call.
func (s *stream) read(f func(t codec.Type, data []byte) error) error {
	s.makeRoom()
	n, err := s.conn.Read(s.in[len(s.in):cap(s.in)])
	if err != nil {
		return err
	}
	s.in = s.in[:len(s.in)+n]
	for s.begin < len(s.in) {
		it, err := codec.Next(s.in[s.begin:], maxResponse)
		switch {
		case err != nil:
			return err
		case it.Kind == codec.Incomplete, it.Kind == codec.Head:
			return nil
		case it.Kind == codec.Line:
			return fmt.Errorf("line of text %q", it.Data)
		}
		s.begin += it.Len
		if err := f(it.Type, it.Data); err != nil {
			return err
		}
	}
	return nil
}

// makeRoom sees to it that there is room for the rest of a frame that has begun.
func (s *stream) makeRoom() {
	rest := s.in[s.begin:]
	need := firstBuffer
	if len(rest) >= codec.HeaderSize {
		if it, err := codec.Next(rest, maxResponse); err == nil {
			need = max(need, codec.HeaderSize+it.Size)
		}
	}
	switch {
	case cap(s.in) < need:
		// More than the frame, so that the next can begin in the same read.
		grown := make([]byte, len(rest), need+firstBuffer)
		copy(grown, rest)
		s.in, s.begin = grown, 0
	case len(rest) == 0:
		s.in, s.begin = s.in[:0], 0
	case cap(s.in)-s.begin < need || len(s.in) == cap(s.in):
		s.in = s.in[:copy(s.in, rest)]
		s.begin = 0
	}
}

// flush writes what was gathered.
func (s *stream) flush() error {
	if len(s.out) == 0 {
		return nil
	}
	_, err := s.conn.Write(s.out)
	s.out = s.out[:0]
	return err
}

// sendWith gathers a packet to the server: its first arguments, each ended by a NUL, and
// the last one.
func (s *stream) sendWith(t codec.Type, first, last []byte) {
	begin := len(s.out)
	s.out = codec.AppendHeader(s.out, t, len(first)+len(last))
	copy(s.out[begin:], "\x00REQ") // AppendHeader is for packets from the server
	s.out = append(s.out, first...)
	s.out = append(s.out, last...)
}

// send gathers a packet to the server.
func (s *stream) send(t codec.Type, args ...string) { s.out = codec.AppendRequest(s.out, t, args...) }

// unexpected is the error for a packet that should not have come.
func unexpected(t codec.Type, data []byte) error {
	return fmt.Errorf("%s %.200q from the server", t, data)
}
