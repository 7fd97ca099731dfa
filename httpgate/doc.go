// Package httpgate lets programs without a Gearman library submit jobs over HTTP.
//
// A request is one job:
//
//	POST /reverse HTTP/1.1            the target without its leading slashes is the function, as it stands:
//	Host: broker                      nothing is unescaped, and a query belongs to the name
//	Content-Length: 5
//	X-Gearman-Unique: abc             optional; without it "-", so that the argument is the key
//	X-Gearman-Priority: high          optional; high or low
//	X-Gearman-Background: true        optional; the answer comes when the job is queued
//	X-Gearman-Final: true             optional; status and warnings are not an answer
//
//	hello
//
// and so is its answer one packet, whose name is in X-Gearman-Command and its job in
// X-Gearman-Job-Handle; the body is what the packet carries.
//
// # The way of a request
//
//	client ─▶ greeting ─▶ net/http ─▶ Gate.ServeHTTP ─▶ submit ─▶ broker
//	                                        client ◀─ answer ◀─ broker
//
// Each request has a connection to the broker of its own, from [Config].Dial, for as long as its job
// takes. When the client goes away the connection is closed, which is all that the broker has to know: it drops
// the job as it does for every client that went.
//
// guard.go refuses what a web page of another site has a browser send, and keeps browsers from running results.
// greeting.go forgives what old clients write on the first lines and net/http does not. request.go reads what is
// wanted, shares.go sees to it that nobody has all places, submit.go sends the job, answer.go waits for the answer
// and passes it on, broker.go reads packets, and parts.go holds what has to be kept because its length is not known
// yet. gate.go has the life of the whole: listeners, bounds, the graceful end.
//
// # Bounds
//
// An argument whose length is known and a result go through without being kept. What has to be kept (a chunked
// body, WORK_DATA before the end) is charged to one budget. Requests, connections, headers, the time that a client
// may take to send and to read, and the time in which no worker takes a job are bounded, see [Config] and limits.go.
// The time that a worker takes is not.
package httpgate
