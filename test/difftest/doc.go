// Package difftest compares Gearloop with a running reference server on the
// wire. A scenario is a short story in a text file: named connections open,
// send packets, text lines or bare bytes, and close. It is played to a fresh
// reference server and to a fresh Gearloop, and everything both sent back is
// compared step by step. Only a deviation that stands in docs/deviations.md may
// differ, and then the scenario says how each of the two answers.
//
// # Scenario files
//
// One scenario is one file testdata/<dialect>/<name>.txt. Blank lines and lines
// that begin with # say nothing to the player. Headers come first:
//
//	options --wakeup 1       command line arguments for both servers
//	[ours] options ...       for one of them
//	loose                    what a timer sends arrives between any two steps:
//	                         compare each connection's packets in their order,
//	                         not the step at which they came
//	deviation ID...          the two differ, as docs/deviations.md tells under ID
//
// Then the steps, each a line:
//
//	open c w                 connect, one after the other
//	w CAN_DO reverse         send a packet, arguments joined by NUL
//	c PACKET_99 "x" "y"      send a packet by number
//	c text status            send the line and "\n"
//	c raw "\0REQ"            send the bytes
//	c begin                  gather what c sends from here on ...
//	c flush                  ... and write it at once,
//	c flush cut 7 12         cut before the 7th and 12th byte,
//	c flush cut every        byte by byte,
//	c flush at-every-offset  whole but for one cut, once for each place of it
//	c part 20                write the first 20 bytes of what is gathered
//	c drained                wait until the server has read all that c sent
//	c sync                   wait until the server has dealt with it, see below
//	c expect NOOP            wait for a packet, or a text line by its beginning,
//	                         or closed, that came after c's last send
//	c shut                   half-close: nothing more will be sent
//	c close                  close; waits until the server has noticed
//	c reset                  the same with a TCP reset
//	w work GRAB_JOB          behave as a worker: sleep until NOOP comes, else ask for a job, and go to
//	                         sleep if there is none
//	w report WORK_FAIL       send a packet about the oldest job in hand, if there is one
//	w toggle f 100           CAN_DO, with a limit CAN_DO_TIMEOUT, or CANT_DO if it can do it already
//	w awake CAN_DO f         send a packet unless it sleeps
//	[ours] operator pause f  what an operator does with a function: pause, resume, close, open
//	refused                  wait until connections are refused
//	mask JOB_ASSIGN          from here on leave out the arguments of such packets,
//	                         because chance decides about them
//	server lives             the process still answers
//	server exit              wait for the end of the process, tell its exit code
//	server signal TERM       send the process a signal
//	repeat 5                 repeat the steps up to "end", $i counts from 1
//	[ours] c sync            a step for one of the servers: [reference], [ours]
//
// Arguments are bare words or expressions made of "Go strings" (\0 is a NUL
// byte), $H1 (the first handle that appeared in the scenario), @100KiB (a
// pattern of that many bytes, all byte values among them) and "ab"*40, joined
// by +. Gathering and cutting work on bytes, so frames can be glued and split at
// will.
//
// # What makes it repeatable
//
// Nothing waits for a length of time. After each step every open connection, the
// sender first, sends an ECHO_REQ with a token and waits for its answer: whatever
// the step caused has been received by then. A connection on which that cannot
// be done, because it holds half a frame or will be closed, has an exclamation
// mark behind its name (c! part 20); it is left alone until it sends without the
// mark. Accepting and closing are awaited by looking at the server's own lists
// through a connection of the player, which is kept out of the transcript.
//
// Handles are numbered H1, H2 ... as they appear, the addresses of the scenario's
// connections and their descriptors in "workers" become <name>, and rows whose
// order the reference leaves to chance (jobs, clients, the functions of a worker)
// are sorted.
//
// # Random stories
//
// TestRandom plays stories that a seed decides about (story.go): workers, clients, and others that come and
// go. A difference that no heading of docs/deviations.md explains is a fault of Gearloop, or belongs there
// with a scenario; what is explained the stories have to keep away from.
//
// # Environment
//
//	GEARLOOP_DIFFTEST_SELFCHECK=N   plays each scenario N times to the reference
//	                                alone; all transcripts must be the same
//	GEARLOOP_DIFFTEST_SHOW=1        logs the transcripts
//	GEARLOOP_DIFFTEST_SEEDS=500     plays so many random stories, or with =17 the one of a seed
//	GEARLOOP_DIFFTEST_SHRINK=1      makes random stories that differ as short as possible
package difftest
