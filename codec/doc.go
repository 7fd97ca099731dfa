// Package codec turns bytes into Gearman packets and text lines, and back.
//
// It is pure: no sockets, no clock, no knowledge of jobs. It never keeps a reference to the bytes
// it is given and never allocates while it reads: what it returns are slices of the caller's
// buffer.
//
// # What is on the wire
//
// One TCP port speaks two languages, mixed freely on one connection:
//
//	frame   magic(4) type(4) size(4) data(size)    numbers are big endian
//	line    text up to "\n" or "\r\n"
//
// The first byte tells them apart: a frame begins with a NUL, a line with anything else but a control
// character, which only other protocols begin with. A line that begins an HTTP request is an error, so that web
// pages can send neither commands nor packets. Magic is "\0REQ"
// towards the server and "\0RES" from it. The data of a frame are its arguments, separated by one
// NUL each; the last argument runs to the end of the data and may hold NULs itself.
//
// packet.go has the table of all packets, frame.go reads and writes frames as a server does,
// client.go does so as a client or worker, line.go reads and writes text lines.
package codec
