// Floor is the least that a Gearman server can be: a relay between clients and workers on bare system calls,
// to measure others by. What it costs per job is the kernel's work for the same packets and a few table
// look-ups; nothing that does the work can cost much less.
//
//	go run ./bench/floor -listen 127.0.0.1:4730
//
// It has one thread and no locks. Each turn reads every connection that is ready, once, and writes what came
// of it at the end, once per connection. It never collects garbage: buffers and jobs are used again.
//
// It is no server for anything else. It checks nothing, knows no unique ids, priorities, options, text
// commands or results other than WORK_COMPLETE, trusts every handle, and forgets what a lost connection
// leaves. What it understands: CAN_DO, PRE_SLEEP, GRAB_JOB (also _UNIQ and _ALL, answered with JOB_ASSIGN),
// SUBMIT_JOB, SUBMIT_JOB_BG, WORK_COMPLETE, ECHO_REQ. Everything else ends the connection.
//
// It ends with a signal, or when its standard input does.
package main
