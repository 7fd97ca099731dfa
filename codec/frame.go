package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// HeaderSize is the length of a frame's header in bytes.
const HeaderSize = 12

// MaxLine is the longest text line that Next accepts, in bytes without its line end.
const MaxLine = 8 << 10

// The magics of the two directions.
const (
	magicReq = "\x00REQ"
	magicRes = "\x00RES"
)

// Errors of incoming bytes. After any of them it is unknown where the next frame or line begins, so the
// connection has to be closed.
var (
	ErrMagic       = errors.New("neither a frame nor a line of text")
	ErrTooLarge    = errors.New("frame announces more data than is allowed")
	ErrLineTooLong = errors.New("line of text is too long")
	ErrHTTP        = errors.New("an HTTP request where Gearman is spoken")
)

// Kind is what Next found at the beginning of the buffer.
type Kind uint8

const (
	// Incomplete: neither a whole header nor a whole line is there yet.
	Incomplete Kind = iota
	// Head: a whole header, but not all of the data it announces.
	Head
	// Frame: a whole frame.
	Frame
	// Line: a whole line of text.
	Line
)

// Item is one frame or line, or the beginning of one.
type Item struct {
	Kind     Kind
	Response bool   // the frame has the magic "\0RES", which no peer may send to a server
	Type     Type   // of a Head or Frame
	Size     int    // bytes of data that the header of a Head or Frame announces
	Data     []byte // of a Frame: its data; of a Line: the text without its end; of a Head: the data so far
	Len      int    // bytes of the buffer that the item takes; 0 if it is Incomplete
}

// Next returns the item at the beginning of buf. Its Data points into buf. maxData is the largest size that a
// header may announce, in bytes; a larger one gives ErrTooLarge. The other errors are ErrMagic,
// ErrLineTooLong and ErrHTTP.
func Next(buf []byte, maxData int) (Item, error) {
	if len(buf) == 0 {
		return Item{}, nil
	}
	if buf[0] != 0 {
		return nextLine(buf)
	}
	if len(buf) < HeaderSize {
		n := min(len(buf), len(magicReq))
		if p := string(buf[:n]); p != magicReq[:n] && p != magicRes[:n] {
			return Item{}, ErrMagic
		}
		return Item{}, nil
	}
	var it Item
	switch string(buf[:4]) {
	case magicReq:
	case magicRes:
		it.Response = true
	default:
		return Item{}, ErrMagic
	}
	it.Type = Type(binary.BigEndian.Uint32(buf[4:]))
	size := binary.BigEndian.Uint32(buf[8:])
	if uint64(size) > uint64(maxData) {
		return Item{}, ErrTooLarge
	}
	it.Size = int(size)
	if rest := buf[HeaderSize:]; len(rest) < it.Size {
		it.Kind, it.Data, it.Len = Head, rest, len(buf)
	} else {
		it.Kind, it.Data, it.Len = Frame, rest[:it.Size:it.Size], HeaderSize+it.Size
	}
	return it, nil
}

// Request returns the type and the data of the request that buf begins with. ok is false if that is anything
// but a whole frame of at most maxData bytes of data with the magic "\0REQ"; Next says what it is.
func Request(buf []byte, maxData int) (t Type, data []byte, ok bool) {
	if len(buf) < HeaderSize || string(buf[:4]) != magicReq {
		return 0, nil, false
	}
	size := uint64(binary.BigEndian.Uint32(buf[8:]))
	if size > uint64(len(buf)-HeaderSize) || size > uint64(maxData) {
		return 0, nil, false
	}
	end := HeaderSize + int(size)
	return Type(binary.BigEndian.Uint32(buf[4:])), buf[HeaderSize:end:end], true
}

// FrameSize returns the size in bytes of the frame whose header buf begins with, header included. Next may
// refuse that frame.
func FrameSize(buf []byte) int { return HeaderSize + int(binary.BigEndian.Uint32(buf[8:])) }

// Cut splits data at its first NUL into the argument before it and the rest after it. Without a NUL, arg is
// all of data and ok is false.
func Cut(data []byte) (arg, rest []byte, ok bool) {
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return data[:i:i], data[i+1:], true
	}
	return data, nil, false
}

// AppendHeader appends the header of a packet from the server whose data will be size bytes long.
func AppendHeader(dst []byte, t Type, size int) []byte {
	const magic = 'R'<<48 | 'E'<<40 | 'S'<<32 // magicRes, in the upper half
	dst = binary.BigEndian.AppendUint64(dst, magic|uint64(t))
	return binary.BigEndian.AppendUint32(dst, uint32(size))
}

// AppendPacket appends a whole packet from the server, its arguments joined by NULs.
func AppendPacket(dst []byte, t Type, args ...string) []byte {
	return appendPacket(dst, magicRes, t, args)
}

func appendHeader(dst []byte, magic string, t Type, size int) []byte {
	dst = append(dst, magic...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(t))
	return binary.BigEndian.AppendUint32(dst, uint32(size))
}

func appendPacket(dst []byte, magic string, t Type, args []string) []byte {
	size := max(len(args)-1, 0)
	for _, a := range args {
		size += len(a)
	}
	dst = appendHeader(dst, magic, t, size)
	for i, a := range args {
		if i > 0 {
			dst = append(dst, 0)
		}
		dst = append(dst, a...)
	}
	return dst
}
