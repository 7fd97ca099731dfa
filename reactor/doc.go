// Package reactor owns the sockets. It turns what comes in into packets and lines for the scheduler
// and the text commands, and carries out what they want done.
//
// # The way of a packet
//
//	socket ─▶ gnet ─▶ conn.feed ─▶ conn.packet ─▶ sched.Handle ─▶ loop.carry ─▶ conn.put ─▶ conn.flush ─▶ socket
//	                 (read.go)     (read.go)       (Effects)      (loop.go)     (write.go)   (write.go)
//	                                                                  │
//	                                             other loop's mailbox ┴─▶ conn.put ─▶ ...
//
// There is one event loop per core. A connection belongs to one loop for its whole life, and
// everything of it is touched by that loop only. What a packet causes on a connection of another
// loop goes through that loop's mailbox (mailbox.go).
//
// # Order
//
// Packets to one connection arrive in the order in which the scheduler decided on them, as far as
// they come from one cause: JOB_CREATED is put by the submitter's own loop before anything that
// another loop can send about the job, because the mailbox is emptied after it; and packets of one
// job come from its worker's loop, one after the other, time-outs included: the clock has them
// fired there, and so is the WORK_FAIL of a job that another loop cancels. When a job has had another
// worker before, some of what that one said may still be in a mailbox: the scheduler marks what is told
// of the job from then on (sched.Packet.Behind), and it goes through the mailbox even to a connection of
// the same loop. A loop empties its mailbox before it reads from any socket, so whoever hears of
// something on one connection and then asks on another is answered after what that something caused
// there.
//
// # Reading
//
// A frame or line that is whole in the read buffer is handled in place. A frame whose header is
// there and whose data are not goes straight into a pooled payload of its size, read from the
// socket without being looked at or copied again until it is whole (fast read). Only the beginning
// of a header or a line is ever kept in a connection. gnet's level-triggered loop reads once, up to
// readSize; when that came back full, or while a payload is being filled, the connection reads on
// by itself up to readTurn, then lets others have their turn.
//
// # Turns
//
// A connection handles packets and lines worth readItems in a turn. The rest of what was read waits in the connection
// (turns.go), which stands in a queue for its next turn and is not read until then. A packet that the scheduler
// wants to see again (sched.Effects.Again) is the first of the next turn. When a connection breaks, what its peer had sent
// before is still handled, in such turns, and only then does the scheduler hear of its end.
//
// # Writing
//
// Output is gathered per connection and written once per turn of the loop with one system call, first to connections
// that have little, then, up to writeTurn, to those that have much; large payloads by reference. What the
// socket does not take is kept, up to --max-outbound; then the peer is cut off. gnet's own output buffers are
// not used: they copy, and tell nobody when they are empty. writable_linux.go waits instead.
//
// # Text commands
//
// What a text command wants changed is done at once. A long answer is produced in slices (tables.go), one
// in each turn of the loop (pacer.go), while the peer reads it; the rest of it has its place among
// the connection's output, so that everything stays in order.
//
// # TLS
//
// A connection over TLS has a tlsConn (tls.go) between the loop and the socket, made by a handshake in a
// goroutine of its own (handshake.go). conn.read and conn.write hand over to it; all else is the same.
//
// # Closing
//
// A connection is only ever closed between two turns, never in the middle of a call, so that
// nothing that is being carried out loses its ground.
package reactor
