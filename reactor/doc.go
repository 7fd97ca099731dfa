// Package reactor owns the sockets. It reads packets for the scheduler and lines for the text commands, and
// carries out the effects that they return.
//
// # The way of a packet
//
//	socket ─▶ loop.turn ─▶ conn.feed ─▶ conn.packet ─▶ sched.Handle ─▶ loop.carry ─▶ conn.put ─▶ conn.flush ─▶ socket
//	         (turn_linux.go) (read.go)    (read.go)      (Effects)      (loop.go)     (write.go)   (write.go)
//	                                                                  │
//	                                             other loop's mailbox ┴─▶ conn.put ─▶ ...
//
// There is one event loop for every core, unless --loops says otherwise. A connection belongs to one
// loop for its whole life, and only that loop touches it. What a packet causes on a connection of another
// loop goes through that loop's mailbox (mailbox.go). If that loop sleeps, the one that posted handles the
// mail in its place, at the end of its own turn (turn_linux.go). The loops are gnet's. On Linux a loop waits
// and reads by itself, and returns to gnet only at the end (turn_linux.go).
//
// As many loops run as there is work for, at least --min-loops (layout_linux.go). The others lodge with them:
// their hosts do their turns (lodge_linux.go) and watch their sockets (bring_linux.go). Between loops of one house
// packets need no mailbox.
//
// # Order
//
// Packets about one job reach a connection in the order in which the scheduler decided on them:
//
//   - The submitter's own loop puts JOB_CREATED into the output before it empties its mailbox, where packets of
//     other loops about the job are.
//   - All later packets about the job come from its worker's loop, one after the other. Time-outs fire there
//     too, and the WORK_FAIL of a job that another loop cancels is sent from there.
//   - When a job gets another worker, packets of the earlier one may still be in a mailbox. The scheduler marks
//     later packets about the job (sched.Packet.Behind); they go through the mailbox even to a connection of the
//     same loop.
//
// A loop empties its mailbox before it reads from any socket. So a peer that learned of an event on one
// connection and then asks on another gets the answer after the packets that the event caused there.
//
// # Accepting
//
// On Linux loops accept from TCP listeners by themselves (accept_linux.go): a connection costs no change of
// goroutines. When slots or descriptors are short, acceptors take over (accept.go): they are goroutines that may
// wait for both. They also accept where a connection has to wait for its peer first, for a TLS handshake or a
// PROXY header, and from unix sockets.
//
// # Reading
//
// A frame or line that is whole in the read buffer is handled in place. If only the header of a frame is
// there, its data are read from the socket straight into a pooled payload (fast read), without a further
// copy, and what follows them into the read buffer with the same system call. A connection keeps at most the
// beginning of a header or of a line. When a read was full, the connection reads on, up to readTurn in a turn.
//
// # Turns
//
// A connection handles packets and lines worth readItems in a turn. The rest of what was read waits in the
// connection, which queues for its next turn and is not read until then (turns.go). A packet that the
// scheduler wants to see again (sched.Effects.Again) is the first of the next turn. When a connection breaks,
// the bytes that its peer sent before are still handled, in such turns; then the scheduler is told that the
// peer left.
//
// A turn of a loop is crowded once it has handled much or taken half a millisecond: from then on it accepts and closes
// few connections, and reads and handles little of each further one. So peers that connect, leave or declare functions
// by the thousand make others wait for some short turns, not for one long one.
//
// GRAB_JOB* for which there is no job is handled when the loop has read all connections that were ready, so that a
// job which is submitted in the same turn answers it (grabs.go). The connection's next packet, or its end, is
// handled after it.
//
// # Writing
//
// Output is gathered per connection and written once per turn of the loop with one system call, large
// payloads by reference. Connections with little output come first, then those with much, up to writeTurn.
// Output that the socket does not take is kept, up to --max-outbound; beyond that the connection is closed.
// gnet's own output buffers are not used, because they copy and do not report when they are empty.
// writable_linux.go waits for sockets.
//
// # Text commands
//
// A text command changes what it changes at once. A long answer is produced in slices (tables.go), one in
// each turn of the loop (pacer.go), as fast as the peer reads. The remainder is queued in the connection's
// output as a producer, and later output waits behind it.
//
// # TLS
//
// A connection over TLS has a tlsConn (tls.go) between the loop and the socket. The handshake runs in a
// goroutine of its own (handshake.go). conn.read and conn.write call the tlsConn; everything else is the
// same.
//
// # Rights
//
// With Config.ACL a connection gets its rights before its loop gets it (access.go): by then its certificate
// is verified. The scheduler and the text commands ask for them. A peer without any right gets an error and
// is disconnected.
//
// # Closing
//
// A connection is closed between two turns only, never during a call, so effects that are being carried out
// never meet a connection that was freed.
//
// # Files
//
//	server.go counters.go limits.go            the server and its end; faults of peers; bounds
//	gnet.go events.go                          calls from gnet and from the store
//	address.go listen.go unixsocket.go         listeners
//	accept.go accept_*.go                      acceptors; loops that accept by themselves
//	slots.go descriptors.go                    from a listener to a slot
//	proxied.go handshake.go tls.go             PROXY headers; TLS
//	enroll.go register_*.go                    from a slot to a loop
//	access.go peeruser_*.go                    rights
//	loop.go mailbox.go turn_*.go               a turn of a loop
//	faults.go                                  what goes on after a panic
//	layout_*.go idle_*.go lodge_*.go bring_*.go which loops run, and who does the turns of the others
//	conn.go read.go ahead.go turns.go pause_*.go
//	                                           a connection and its input
//	leave_*.go                                 connections that end, many at once too
//	grabs.go                                   GRAB_JOB* at the end of a turn
//	write.go buffers.go held.go writable_*.go  output; places that are reserved in it
//	socket_*.go quickack_*.go keepalive_*.go   system calls
//	tables.go pacer.go                         text commands with long answers
//	fans.go fetch.go                           packets to many listeners; arguments read from the store
//	pressure.go crowd.go relief.go stalls.go   memory of what is in transit: who waits, who loses it
//	halfclosed.go unheard*.go                  peers that are gone or no longer answer
//	clock.go stats.go inspect.go seldom.go     timers; what an operator sees; log lines that peers cause
package reactor
