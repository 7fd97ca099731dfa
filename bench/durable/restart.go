package main

import (
	"fmt"
	"sync"
	"time"

	"gearloop/bench"
	"gearloop/internal/load"
	"gearloop/store"
	"gearloop/store/disk"
	"gearloop/test/peers"
)

// restoredArgument is the size of the restored jobs' arguments, in bytes.
const restoredArgument = 100

// restart fills a directory with jobs and starts a server with it.
func restart(host *bench.Host, dir string, jobs int) error {
	if err := storeJobs(dir, jobs); err != nil {
		return err
	}
	disk, err := size(dir)
	if err != nil {
		return err
	}
	begin := time.Now()
	s, err := host.StartWith("restarted", peers.Gearloop, "--data-dir", dir)
	if err != nil {
		return err
	}
	took := time.Since(begin)
	usage, err := load.SampleUsage(s.PID)
	if err != nil {
		return err
	}
	fmt.Printf("start with %d jobs of %d bytes: %.2f s until it listens, %.2f s of CPU, %.0f MiB resident (%.0f bytes a job), %.0f MiB on disk (%.0f bytes a job)\n",
		jobs, restoredArgument, took.Seconds(), usage.CPU.Seconds(), float64(usage.Resident)/(1<<20), float64(usage.Resident)/float64(jobs),
		float64(disk)/(1<<20), float64(disk)/float64(jobs))
	return nil
}

// receipts waits for jobs to be stored.
type receipts struct {
	sync.WaitGroup
	mu  sync.Mutex
	err error
}

func (r *receipts) Stored(_ store.Ref, err error) {
	r.mu.Lock()
	if r.err == nil {
		r.err = err
	}
	r.mu.Unlock()
	r.Done()
}

func storeJobs(dir string, jobs int) error {
	d, err := disk.Open(disk.Options{Dir: dir, Sync: disk.SyncNone})
	if err != nil {
		return err
	}
	err = d.Start(store.NoEvents{})
	var r receipts
	argument := [][]byte{make([]byte, restoredArgument)}
	for n := 0; n < jobs && err == nil; {
		r.Add(1)
		_, err = d.Append(&store.Job{
			Number: store.Number(d.Run(), uint64(n), store.ShardOf("f")), Function: "f", Unique: fmt.Sprint("job-", n), Priority: store.Normal, Argument: argument,
		}, &r)
		switch err {
		case nil:
			n++
		case store.ErrBusy:
			r.Done()
			time.Sleep(time.Millisecond)
			err = nil
		default:
			r.Done()
		}
	}
	r.Wait()
	if err == nil {
		err = r.err
	}
	if closed := d.Close(); err == nil {
		err = closed
	}
	return err
}
