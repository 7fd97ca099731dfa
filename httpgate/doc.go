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
// The answer is one packet: X-Gearman-Command has its name, X-Gearman-Job-Handle its job, and the body its
// data.
//
// # The way of a request
//
//	client ─▶ greeting ─▶ net/http ─▶ Gate.ServeHTTP ─▶ submit ─▶ broker
//	                                        client ◀─ answer ◀─ broker
//
// Each request has its own connection to the broker, from [Config].Dial, until its job has ended. When the
// client disconnects, the gate closes that connection, and the broker drops the job as for any client.
//
// # Files
//
// guard.go rejects requests that a web page of another site makes a browser send, and keeps browsers from
// running results. greeting.go repairs what old clients write in their first lines and net/http rejects.
// request.go parses the request, shares.go divides the slots among functions and clients, submit.go sends the
// job, answer.go waits for the answer and relays it, broker.go reads packets, and parts.go buffers data of
// unknown length. gate.go has the life of the whole: listeners, limits, the graceful end. counters.go counts
// what is rejected.
//
// # Bounds
//
// Arguments of known length and results pass through unbuffered. What must be buffered (a chunked body,
// WORK_DATA before the end) is charged to one budget. Requests, connections, headers, the time that a client
// may take to send and to read, and the time that a job may wait for a worker are bounded, see [Config] and
// limits.go. The duration of a job is not.
package httpgate
