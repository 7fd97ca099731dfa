// Package codec turns bytes into Gearman packets and text lines, and back.
//
// It is pure: no sockets, no clock, no knowledge of jobs. Next and what a server reads with return slices of
// the caller's buffer; they allocate nothing and keep no reference to the buffer.
//
// # What is on the wire
//
// One TCP port accepts frames and lines of text, in any order on the same connection:
//
//	frame   magic(4) type(4) size(4) data(size)    numbers are big endian
//	line    text up to "\n" or "\r\n"
//
// The first byte tells them apart. A frame begins with a NUL. A line begins with a byte that is no control
// character; other control characters are an error (ErrMagic). A line that begins an HTTP request is an error
// too (ErrHTTP), so that web pages can send neither commands nor packets. Magic is "\0REQ" in packets to a
// server and "\0RES" in packets from it. The data of a frame are its arguments with one NUL between each two;
// the last argument runs to the end of the data and may hold NULs itself.
//
// # Files
//
//	packet.go  the table of all packets
//	frame.go   frames, as a server reads and writes them
//	client.go  frames, as a client or worker reads and writes them
//	line.go    text lines
//	http.go    how HTTP requests are recognized
package codec
