// Package bench measures Gearloop: its parts alone, and whole jobs through a running server, beside the two
// reference servers and the floor.
//
//	make bench                                                   whole jobs; writes what BENCHMARKS.md shows
//	go run ./bench/compare -scenarios deep -servers floor,gearloop,c
//	go test -run '^$' -bench 'Codec|Sched' ./bench               parts
//	go test -run '^$' -bench 'WholeJob/scenario=deep' ./bench    whole jobs as a Go benchmark
//	go test -run '^$' -bench Million -benchtime 1x ./reactor     a million connections without sockets
//	go run ./bench/scale                                         memory for each connection, and whose it is
//	make bench-peers                                             the same jobs through beanstalkd, Redis, NATS, RabbitMQ
//	make profile                                                 profiles of a server under load
//
// # What there is
//
//   - The scenarios, and Host, which starts the servers.
//   - load: the generator, which "gearloop bench" has, too. rounds: several servers in turn. compare: the program
//     behind make bench. floor: the least that a server can be.
//   - Codec: taking frames and lines off a buffer and encoding frames, by payload size.
//   - Sched: the scheduler without sockets. One job is SUBMIT_JOB, GRAB_JOB and WORK_COMPLETE through
//     Handle, its effects thrown away; by number of functions, goroutines, queued jobs and sleeping
//     workers. Also the memory of a queued job and the cost of many abilities. SchedLoops has up to 64 loops.
//   - profile: load on a server that serves profiles. scale: real connections that do nothing.
//   - Payload and Gather: the pools that large packets and output lie in, against plain make and
//     against bytebufferpool.
//   - WholeJob: each scenario with each server.
//
// # What is not measured
//
//   - The network. Loopback has no latency and no loss; clients, workers and server share the
//     processors, so jobs per second are as much about the load as about the server. The processor time per
//     job is the figure to compare servers by; load-µs/job beside it is what the load itself took.
//   - Anything steadily while other programs run: compare by ratios to the floor of the same round.
package bench
