// Package load puts load on a Gearman server, any one, and measures what comes of it.
//
// [Open] connects clients, workers and sleepers; [Load.Run] has them work for a time or for a number of jobs and
// tells how long each took; [Usage] is what the server's process has used meanwhile.
//
// # How it is driven
//
// All connections belong to event loops, one unless told otherwise. A turn of a loop reads every connection that
// is ready, once, and writes what came of it at the end, once per connection. All state is the loop's: whoever
// else wants something gives it a function to call. What has to be cheap is the generator, since it shares the machine
// with the server: it looks at the first and last bytes of a payload and sends large ones from
// one buffer that all share.
//
// # What is measured
//
//   - In a closed loop every client keeps a number of jobs under way and submits the next when one is done. A slow
//     server gets less to do; the times say little about users who do not wait.
//   - In an open loop jobs are due at fixed times, whatever the server does. The time of each counts from when it was
//     due, not from when it was sent: a server, or a generator, that stalls is charged for all that were due
//     meanwhile (without that the stall would hide the very jobs it delayed: coordinated omission).
//   - In background mode jobs are submitted while the workers wait, then the workers drain the queue.
//   - In echo mode there are no jobs, only ECHO_REQ.
//
// Times are kept in an HdrHistogram with three digits.
package load
