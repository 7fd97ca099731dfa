package codec

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// The client's side of the wire: requests to a server and its responses.

// Response is a packet from a server.
type Response struct {
	Type Type
	Data []byte
}

// Args splits the data into at most n arguments. The last one has the rest, NULs included.
func (r Response) Args(n int) []string { return strings.SplitN(string(r.Data), "\x00", n) }

// String returns the packet for messages: its type and the first 200 bytes of its data.
func (r Response) String() string {
	const shown = 200
	if len(r.Data) > shown {
		return fmt.Sprintf("%v %q... (%d bytes)", r.Type, r.Data[:shown], len(r.Data))
	}
	return fmt.Sprintf("%v %q", r.Type, r.Data)
}

// AppendRequest appends a whole packet to a server, as clients and workers send it. Its data are
// args joined by NULs.
func AppendRequest(dst []byte, t Type, args ...string) []byte {
	return appendPacket(dst, magicReq, t, args)
}

// AppendRequestHeader appends the header of a packet to a server whose data will be size bytes long.
func AppendRequestHeader(dst []byte, t Type, size int) []byte {
	return appendHeader(dst, magicReq, t, size)
}

// ReadResponseHeader reads the header of a packet from a server. It returns the packet's type and the size of
// its data in bytes; the caller has to read the data. If the bytes are no header, the error quotes them, and
// it is unknown where the next packet begins. Other errors are r's own.
func ReadResponseHeader(r io.Reader) (t Type, size int64, err error) {
	var head [HeaderSize]byte
	if n, err := io.ReadFull(r, head[:]); err != nil {
		if err == io.ErrUnexpectedEOF && head[0] != 0 {
			return 0, 0, fmt.Errorf("no packet from a server: %q", head[:n])
		}
		return 0, 0, err
	}
	if string(head[:len(magicRes)]) != magicRes {
		return 0, 0, fmt.Errorf("no packet from a server: %q", head[:])
	}
	return Type(binary.BigEndian.Uint32(head[4:])), int64(binary.BigEndian.Uint32(head[8:])), nil
}

// ReadResponse reads a packet from a server. maxData is the largest size that it may announce, in bytes; a
// larger one gives ErrTooLarge. Memory is allocated as the data arrive, not as announced.
func ReadResponse(r io.Reader, maxData int64) (Response, error) {
	t, size, err := ReadResponseHeader(r)
	if err != nil {
		return Response{}, err
	}
	if size > maxData {
		return Response{}, ErrTooLarge
	}
	const atOnce = 1 << 20
	data := make([]byte, 0, min(size, atOnce))
	for int64(len(data)) < size {
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
		n := min(size, int64(cap(data)))
		m, err := io.ReadFull(r, data[len(data):n])
		data = data[:len(data)+m]
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return Response{}, err
		}
	}
	return Response{t, data}, nil
}
