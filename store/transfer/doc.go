// Package transfer moves jobs between stores as lines of JSON: gearloop store dump writes them, gearloop
// store import reads them. It holds what every engine needs for that: the format (write.go, read.go), the
// loop of an import with what it leaves out (import.go), and the bound on jobs that an import has in flight
// (flow.go).
//
// Each line is a job with function, argument and, where there are such, number (of the handle), unique,
// reducer, priority, due and retries. A value that is not valid UTF-8 is in base64, in the field whose name
// ends in _base64. The settings of functions are a line of its own, ahead of the jobs: settings and, of a
// database with several nodes, node.
package transfer
