// Package load puts load on any Gearman server and measures the result.
//
// [Open] connects clients, workers and sleepers; [Load.Run] runs them for a time or for a number of jobs and
// measures how long each job took; [Usage] is what the server's process used meanwhile.
//
// # How it is driven
//
// All connections belong to event loops, one by default. A turn of a loop reads every ready connection once,
// and writes all output at the end, once per connection. All state belongs to the loop: others give it a
// function to call. The generator must be cheap, because it shares the machine with the server: it examines
// only the first and last bytes of a payload, and sends large ones from a shared buffer.
//
// # What is measured
//
//   - In a closed loop every client keeps a number of jobs in flight and submits the next when one is done. A slow
//     server gets less to do; the times say little about users who do not wait.
//   - In an open loop jobs are due at fixed times, whatever the server does. The time of each counts from when it was
//     due, not from when it was sent: a server, or a generator, that stalls is charged for all jobs that were due
//     meanwhile. (Otherwise the stall would hide the very jobs that it delayed: coordinated omission.)
//   - In background mode jobs are submitted while the workers wait, then the workers drain the queue.
//   - In echo mode there are no jobs, only ECHO_REQ.
//
// Times are recorded in an HdrHistogram with three digits.
package load
