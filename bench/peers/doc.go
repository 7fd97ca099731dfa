// Peers measures the same job through Gearloop and through what people would take instead of it: the two older Gearman
// servers, beanstalkd, Redis, NATS and RabbitMQ. It starts all servers itself, on free ports of 127.0.0.1.
//
//	make bench-peers                                           all of them; writes into BENCHMARKS.md
//	make bench-peers PEERS=gearloop,redis                      some, which writes nothing
//	bin/bench-peers -program bin/gearloop -rounds 1 -seconds 0.2
//
// scripts/peers-deps.sh installs the servers from Debian's packages; the NATS server is built from its module. A server
// that is not installed is left out, with a line that says so. This is a module of its own, so that the broker does not
// depend on the other servers' clients.
//
// # What is measured
//
//   - A background job: submitted, acknowledged by the server, handed to a worker, and reported as done by it. Its time
//     ends when the client has the acknowledgement and the worker has done the job.
//   - A request: the client gets the worker's result through the server. beanstalkd and Redis have no such thing; it is
//     built from a second queue for each client, as their users do.
//   - Each with 4 connections × 64 in flight and 8 workers, and with 1 × 1 and one worker. Arguments and results have 64 bytes.
//     A worker has a connection of its own and one job at a time; -prefetch lifts that where the server allows it.
//   - Memory for each queued job: how much the processes grow by while 100,000 jobs are submitted that nobody takes. Workers
//     then take them, and all of them must come.
//
// Server CPU is that of all processes of a server, user and system. The load is in this process, a goroutine for each
// job in flight. Redis, NATS and RabbitMQ are driven by their own Go clients. Gearman and beanstalkd have none that is alive
// and can share a connection between goroutines without a system call for each job; pipe.go has what both need.
//
// # Files
//
//	main.go       flags, and the order of everything
//	rows.go       what is compared: settings, and what is lacking; servers.go starts the servers
//	load.go       the load
//	process.go    starting, ending and measuring processes
//	pipe.go       a connection that goroutines share; gearman.go, beanstalk.go: the clients on top of it
//	calls.go      requests at servers that know none; redis.go, nats.go, rabbit.go: the other clients
//	results.go    medians; table.go, plot.go, write.go: how and where they are shown
package main
