// Package payload holds the bytes of large packets and of queued jobs.
//
// A Payload is a run of bytes with a reference count, kept in pooled chunks. It is filled once,
// from a socket, and from then on only read, so it can be a job's argument and at the same time
// wait in the output of several connections without a copy. Whoever holds a reference may read; who
// lets go of the last one gives the chunks back.
//
// A View is what moves through the program: plain bytes that are borrowed for the length of a call,
// or part of a Payload.
package payload
