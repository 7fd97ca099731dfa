// Package disk is the engine of package store that keeps background jobs in a directory of this machine.
//
// A process has the directory for itself. All events come during Start: one run, a lease without end, and all
// jobs. While one batch of jobs is being synced the next gathers. What an acknowledged job outlives depends
// on the SyncMode: every crash (SyncAlways), or the end of the process.
//
// # What lies on disk
//
//	DIR/META             version of the format, run, the oldest and the newest segment
//	DIR/LOCK             held while a broker has the directory open
//	DIR/0000000007.log   a segment: records with checksums, each a batch of entries
//	DIR/00000000000012ab.arg  the argument of a large job, named by the job's number
//	DIR/damaged/         what Repair has replaced
//	DIR/*.new, DIR/PROBE what is being written; left by a process that was killed, removed at the next start
//
// All of it is its owner's alone (private.go).
//
// With SyncAlways, where the system can do that (durable_linux.go), a segment is written past the cache: a
// write is on the disk when it returns, in whole units of mostly 512 bytes. The last unit of a batch ends with
// zeros, and the next batch writes it again with the same beginning. One write is under way at a time, and its
// parts may reach the disk in any order: a crash in its midst may leave a hole with readable records behind it.
// None of them was acknowledged, since no write begins before the one before it has ended. So whatever follows
// the first unreadable record of a segment is the torn tail. Elsewhere a batch is written to the cache and
// synced.
//
// A segment is written from front to back and then never changed; a store that is opened begins a new one.
// (An import continues the newest segment if that was closed in order: resume.go.) The file is filled with
// zeros ahead of the entries, because it then syncs faster. The first entry of a segment records its
// predecessor, how much of it was synced, and how much of it counts. Each batch records how much of its own
// segment was synced. META records this for the newest segment when that begins and after an orderly end.
// Bytes beyond the last such record that can't be read are a tail that a crash tore; they are dropped without
// a message. Before it they are damage. So damage to the last batch before a crash can't be told from a torn
// tail.
//
// Bytes beyond the last record that can be read may be in the system's cache only. They are written anew into
// the segment that is begun (rescue.go). A new segment cuts its predecessor, so it must count only once it is
// complete: it is written under the name 0000000007.log.new, synced and renamed, then the directory is synced
// and META changed. A process may die at each of these steps, and so may the processes after it. Earlier
// versions of the program gave a segment its name first. What they left half written holds a copy of a part
// of the tail before it and nothing else; that is how it is recognized, and it does not count.
//
// An entry is a job, the end of a job, or a job's new count of retries and priority. An end always comes
// after its job, in the same segment or a later one. That is why segments are only ever dropped from the
// oldest on: nothing that a dropped segment said is missed. META says what is dropped before files are
// removed. When the garbage outweighs what lives, the living jobs of the oldest segment are written anew at
// the end of the log, with the number by which all jobs are put in order again when they are loaded.
//
// META has two places that are written in turn, over what is there, which needs no room: segments can be
// dropped, and a broker started and ended, on a full disk. A start on a full disk can't write the tail of the
// last process anew, and a loss of power may take it; until there is room, the argument of a job that it ends
// and the segment of a job that it moved stay where they are.
//
// The file of an argument is written as one record. Its chunks of up to 32 KiB have checksums, so a change is
// found when the argument is read, and by Check; Open looks at its size alone, because to read all arguments
// would make each start wait for gigabytes. Nothing ties the content to the job but the file's name.
//
// # The engine
//
// Records, checksums and the file system are those of github.com/cockroachdb/pebble/v2 (packages
// record and vfs), without the tree above them. bench/enginebench compares it with the tree itself, with
// bbolt and with another log library, on this work. The tree is as durable and costs up to
// three quarters more processor time per job, but it ends the process when the disk is full, by its makers'
// intention, where a broker has to go on; bbolt never gives space back and dies of a read error (it
// maps its file); the other log has no checksums. What is written here is what is ours in any case: what a
// job is, which segment can go, what to do when the disk fails.
//
// # When the disk fails
//
// A file whose write or sync failed is never written or trusted again. The jobs of that batch are
// refused through their receipts, new ones are refused at once, and the store tries every second
// to begin a new segment, which says that what was refused does not count. Jobs that were safe before stay
// safe; what was acknowledged without a sync, as modes other than SyncAlways do, is written anew.
// A large argument that can't be written is the fault of its job alone.
//
// A store that is closed while it can't be written to notes in META how much counts, which needs no room.
// Close returns an error only if something was not kept, such as the end of a job.
//
// # When the directory is pulled away
//
// It may be removed, moved, or a backup be put in its place, while files in it are open and can be written to
// without an error. So before a batch is acknowledged the paths of the newest segment and of META must lead
// to the files that are open (lockeddir.go): two system calls, about 2 µs for each batch. If they do not,
// nothing is acknowledged and nothing is written or removed by name until they do again. META is written
// through the descriptor that Open got. The directory itself is locked beside LOCK, where its file system can
// do that: who removes LOCK lets nobody in. Where it can't, the path of LOCK is looked at as well.
//
// # Who may touch what
//
// One goroutine, the committer (commit.go), does all writing, cleaning and dropping, and calls the
// receipts. Everything else is under one mutex that is held for some hundred nanoseconds, never across
// a system call.
//
// # Files
//
//	open.go load.go options.go                   opening a directory, and what it held
//	append.go slots.go large.go settings.go      what the scheduler calls
//	hurry.go bell.go                             when and how the committer is woken
//	commit.go begin.go clean.go fail.go          the committer: batches, new segments, cleaning, a disk that fails
//	entry.go segment.go scan.go meta.go runs.go  the files: entries, writing and reading a segment, META, runs
//	durable.go durable_linux.go durable_other.go  writes that need no sync
//	damage.go rescue.go resume.go                what a directory holds after a crash; going on from there
//	lockeddir.go private.go                      the lock; permissions
//	identify.go identify_linux.go identify_other.go  what tells a file from all others
//	check.go dump.go watch.go                    gearloop store check, repair and dump
//	import.go                                    gearloop store import
//	stats.go                                     what an operator sees
package disk
