package enginebench

import (
	"gearloop/store"
	"gearloop/store/disk"
)

// Store is the broker's own engine. It commits by itself; a batch waits here for its last receipt.
type Store struct {
	disk    *disk.Disk
	refs    map[uint64]store.Ref
	receipt chan error
	left    int
	job     store.Job
}

// OpenStore opens one.
func OpenStore(dir string) (Engine, error) {
	d, err := disk.Open(disk.Options{Dir: dir})
	return &Store{disk: d, refs: map[uint64]store.Ref{}, receipt: make(chan error, 1)}, err
}

// loading takes the jobs that were stored.
type loading struct {
	store.NoEvents
	each func(uint64, []byte)
}

func (l loading) Adopt(jobs []store.Job) bool {
	for i := range jobs {
		l.each(jobs[i].Number, jobs[i].Argument[0])
	}
	return true
}

// Stored implements store.Receipt. It is called by one goroutine.
func (s *Store) Stored(_ store.Ref, err error) {
	s.left--
	if s.left == 0 || err != nil {
		s.receipt <- err
	}
}

func (s *Store) Commit(first uint64, jobs [][]byte, ended []uint64) error {
	s.left = len(jobs)
	for i, job := range jobs {
		// The others are given the whole entry; this one makes it: 40 of its bytes.
		s.job = store.Job{Number: first + uint64(i), Function: "f", Argument: append(s.job.Argument[:0], job[40:])}
		ref, err := s.disk.Append(&s.job, s)
		if err != nil {
			return err
		}
		s.refs[s.job.Number] = ref
	}
	for _, n := range ended {
		s.disk.Done(s.refs[n])
		delete(s.refs, n)
	}
	return <-s.receipt
}

func (s *Store) Load(each func(uint64, []byte)) error {
	return s.disk.Start(loading{each: each})
}

func (s *Store) Close() error { return s.disk.Close() }
