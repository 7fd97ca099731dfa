// Package store keeps background jobs on disk, so that an acknowledged one outlives any crash.
//
// # What the broker sees
//
// Store (store.go) is all of it: Append takes a job in, Done lets it go, Load gives back at the
// start what was not let go. Nothing of it waits for the disk: Append and Done queue and return, so
// event loops may call them, and the Receipt that came with a job hears later that the job is safe.
// While one batch of jobs is being synced the next gathers.
//
// # What lies on disk
//
//	DIR/META             version of the format, generation
//	DIR/LOCK             held while a broker has the directory open
//	DIR/0000000007.log   a segment: records with checksums, each a batch of entries
//	DIR/00000000000012ab.arg  the argument of a large job, named by the job's number
//
// A segment is written once, from front to back, and never touched again: a store that is opened
// begins a new one. Its first entry says which segment came before it and how much of that one was
// synced, and each batch says how much of its own was. What fails to read beyond the last such promise
// is a tail that a crash tore, and is passed over in silence; before it, it is damage.
//
// An entry is a job, the end of a job, or a new count of retries. An end always comes after its
// job, in the same segment or a later one. That is why segments are only ever dropped from the
// oldest on: nothing that a dropped segment said is missed. When the garbage outweighs what lives, the
// living jobs of the oldest segment are written anew at the end of the log, and it is dropped.
//
// # The engine
//
// Records, checksums and the file system are those of github.com/cockroachdb/pebble/v2 (packages
// record and vfs), without the tree above them. enginebench compares it with the tree itself, with
// bbolt and with another log library, on this work. The tree is as durable and costs more than twice
// as much processor time per job, but it ends the process when the disk is full, by its makers'
// intention, where a broker has to go on; bbolt never gives space back and dies of a read error (it
// maps its file); the other log has no checksums. What is written here is what is ours in any case: what a
// job is, which segment can go, what to do when the disk fails.
//
// # When the disk fails
//
// A file whose write or sync failed is never written or trusted again. The jobs of that batch are
// refused through their receipts, new ones are refused at once, and the store tries every second
// to begin a new segment. The first entries in it are the ends that the lost batch held. Jobs that
// were safe before stay safe.
//
// # Who may touch what
//
// One goroutine, the committer (commit.go), does all writing, cleaning and dropping, and calls the
// receipts. Everything else is under one mutex that is held for some hundred nanoseconds, never across
// a system call.
package store
