package main

import (
	"io"
	"os"
	"sync/atomic"
	"time"

	"gearloop/internal/monitor"
	"gearloop/sched"
	"gearloop/store"
	"gearloop/store/disk"
)

// storeProgress shows how far work on stored jobs has come, once it has gone on for a moment.
type storeProgress struct {
	*progress
	what  string
	total int64 // bytes; 0 is unknown
	read  atomic.Int64
	jobs  atomic.Int64
}

// newStoreProgress returns the progress of reading total bytes.
func newStoreProgress(stream io.Writer, what string, total int64) *storeProgress {
	p := &storeProgress{progress: newProgress(stream), what: what, total: total}
	p.last = time.Now()
	return p
}

// watch takes note of bytes that were read.
func (p *storeProgress) watch(n int) {
	read := p.read.Add(int64(n))
	switch jobs := p.jobs.Load(); {
	case p.to == nil:
	case p.total > 0 && jobs > 0:
		p.show("%s: %d %%, %s", p.what, min(100, read*100/p.total), manyJobs(jobs))
	case p.total > 0:
		p.show("%s: %d %% of %s", p.what, min(100, read*100/p.total), megabytes(p.total))
	default:
		p.show("%s: %s, %s", p.what, megabytes(read), manyJobs(jobs))
	}
}

// count takes note of jobs that were read.
func (p *storeProgress) count(jobs, bytes int) {
	p.jobs.Add(int64(jobs))
	p.watch(bytes)
}

// accept is sched.Storable, which counts.
func (p *storeProgress) accept(j *store.Job) error {
	if p.jobs.Add(1)%1024 == 0 && p.read.Load() == 0 { // no bytes are seen: the jobs come from a database
		p.show("%s: %s", p.what, manyJobs(p.jobs.Load()))
	}
	return sched.Storable(j)
}

// reader returns a reader of r that reports the bytes of each read to p.
func (p *storeProgress) reader(r io.Reader) io.Reader { return &toldReader{r, p} }

type toldReader struct {
	io.Reader
	p *storeProgress
}

func (t *toldReader) Read(b []byte) (int, error) {
	n, err := t.Reader.Read(b)
	t.p.watch(n)
	return n, err
}

func manyJobs(n int64) string { return monitor.Number(n) + " " + monitor.Noun(n, "job") }

// megabytes returns a number of bytes for people.
func megabytes(n int64) string { return monitor.Number(n>>20) + " MiB" }

// sizeOf returns the size of a file, 0 if it is not known.
func sizeOf(f *os.File) int64 {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0
	}
	return info.Size()
}

// dumpStore writes the jobs of a directory. Its progress would stand among the jobs on a terminal.
func dumpStore(out, errs io.Writer, dir string) error {
	if isTerminal(out) {
		errs = io.Discard
	}
	p := newStoreProgress(errs, "dump", 2*disk.Size(dir)) // it is checked, then read again
	defer p.end()
	return disk.Dump(dir, out, p.watch)
}
