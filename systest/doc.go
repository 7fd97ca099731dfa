// Package systest tests the whole program from outside, where size or the life of a process is the
// point: large payloads and the memory they take, very many connections, signals and exit statuses.
package systest
