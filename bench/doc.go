// Package bench measures Gearloop: its parts alone, and whole jobs through a running server,
// beside the two reference servers.
//
//	go test -run '^$' -bench . -timeout 30m ./bench              everything, some minutes
//	go test -run '^$' -bench Codec ./bench                       one part
//	go test -run '^$' -bench 'WholeJob/server=gearloop' ./bench  one server
//
// # What is measured
//
//   - Codec: taking frames and lines off a buffer and encoding frames, by payload size. Time
//     and bytes per frame.
//   - Sched: the scheduler without sockets. One job is SUBMIT_JOB, GRAB_JOB and WORK_COMPLETE through
//     Handle, its effects thrown away; by number of functions, goroutines, queued jobs and sleeping
//     workers. Also the memory of a queued job and the cost of many abilities.
//   - Payload and Gather: the pools that large packets and output lie in, against plain make and
//     against bytebufferpool.
//   - WholeJob: whole jobs over loopback. Clients keep a number of jobs under way each (a closed loop: the next
//     is submitted when one is done); workers return the argument as the result. Jobs per second, the
//     median and the 99th percentile of the time from submission to result, and the server's processor time
//     per job, in user and system mode, of all its threads.
//
// # What is not measured
//
//   - An open loop. Where clients wait for results, an overloaded server slows them down, and the
//     percentiles show less than users would see who don't wait.
//   - The network. Loopback has no latency and no loss; client, worker and server share the
//     processors, so jobs per second are as much about the load (load.go) as about the server. The processor
//     time per job is the figure to compare servers by; load-µs/job beside it is what the load itself took.
//   - Many thousands of connections, long queues in a running server, its memory, and durable jobs.
//   - Anything steadily while other programs run. Beside the time that passes there is the processor time
//     (cpu-ns/op, srv-µs/job): compare by that, and by several runs (-count 5 and benchstat).
//   - Percentiles beyond what a histogram gives: they are right to three per cent.
package bench
