package store_test

import (
	"fmt"
	"log"
	"os"
	"time"

	"gearloop/store"
	"gearloop/store/disk"
)

// broker is the smallest user of a store: it keeps its jobs by handle. The engine calls it on its own
// goroutine. (The scheduler does the same under its shards' locks.)
type broker struct {
	run     uint64
	jobs    map[uint64]store.Ref
	said    []string      // to be answered at Flushed
	flushed chan []string // the answers of a batch
}

func (b *broker) Opened(run uint64)     { b.run = run }
func (b *broker) Lease(until time.Time) {}
func (b *broker) Disowned()             { clear(b.jobs) }

// Adopt takes over jobs that were stored earlier.
func (b *broker) Adopt(jobs []store.Job) (room bool) {
	for _, job := range jobs {
		b.jobs[job.Number] = job.Ref
		b.said = append(b.said, fmt.Sprintf("adopted %s %q", job.Function, job.Argument[0]))
	}
	return true
}

// Flushed answers all submitters of a batch at once.
func (b *broker) Flushed() {
	if len(b.said) > 0 {
		b.flushed <- b.said
	}
	b.said = nil
}

// submission waits until its job is stored.
type submission struct {
	*broker
	number uint64
}

// Stored is the receipt.
func (s submission) Stored(ref store.Ref, err error) {
	if err != nil {
		s.said = append(s.said, "ERROR queue_full")
		return
	}
	s.jobs[s.number] = ref
	s.said = append(s.said, fmt.Sprint("JOB_CREATED of run ", store.RunOf(s.number)))
}

// The caller's loop: start, append, answer when the receipt has come, and call Done when the job has ended.
// The next start adopts all other jobs.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	var left uint64
	for range 2 {
		var engine store.Store
		if engine, err = disk.Open(disk.Options{Dir: dir}); err != nil {
			log.Fatal(err)
		}
		b := &broker{jobs: map[uint64]store.Ref{}, flushed: make(chan []string, 10)}
		if err := engine.Start(b); err != nil {
			log.Fatal(err)
		}
		if len(b.jobs) == 0 {
			for count, argument := range []string{"cat.jpg", "dog.jpg"} {
				left = store.Number(b.run, uint64(count), store.ShardOf("resize"))
				job := store.Job{
					Number: left, Function: "resize", Priority: store.Normal, Argument: [][]byte{[]byte(argument)},
				}
				if _, err := engine.Append(&job, submission{b, left}); err != nil {
					log.Fatal(err) // ErrBusy, ErrFailed: the submitter gets ERROR queue_full
				}
				engine.Hurry()
				fmt.Println(<-b.flushed)
			}
			for number, ref := range b.jobs {
				if number != left {
					engine.Done(ref) // a worker has done it
				}
			}
		} else {
			fmt.Println(<-b.flushed, b.jobs[left] != 0)
		}
		if err := engine.Close(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// [JOB_CREATED of run 1]
	// [JOB_CREATED of run 1]
	// [adopted resize "dog.jpg"] true
}
