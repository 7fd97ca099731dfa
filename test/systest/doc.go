// Package systest tests the whole program from outside, where size, the machine or the life of a process is the
// point: large payloads and the memory they take, very many connections, descriptors that run out, listeners,
// signals, exit statuses, logs, and the dialects side by side.
//
// Every test starts servers of its own, on free ports, and waits for conditions with a deadline. What a server
// looks like from outside (memory, CPU time, descriptors) is read from /proc: these tests need Linux.
package systest
