// Package payload holds the bytes of large packets and of queued jobs.
//
// A Payload is a run of bytes with a reference count, in pooled chunks. It is filled once, from a socket, and
// then only read. So it can be a job's argument and wait in the output of several connections at the same
// time, without a copy. Holders of a reference may read it; releasing the last one returns the chunks to
// their pool.
//
// The program passes Views: plain bytes that are borrowed during a call, or a part of a Payload.
package payload
