// Package systest tests the whole program from outside, where size, the machine or the life of a process
// matters: large payloads and their memory, very many connections, exhausted descriptors, listeners, signals,
// exit statuses, logs, and the dialects side by side.
//
// Every test starts its own servers, on free ports, and waits for conditions with a deadline. Memory, CPU
// time and descriptors of a server are read from /proc, so these tests need Linux.
package systest
