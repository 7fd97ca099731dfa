// Package enginebench compares embedded engines on the store's own work: many small jobs appended
// by group commit, each removed soon after, and all of them read at a start.
//
// It is a module of its own, so that the broker does not depend on the engines that were not chosen.
// Run it with
//
//	cd bench/enginebench && go test -bench . -benchtime 1x
package enginebench

import (
	"encoding/binary"
	"io"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/record"
	"github.com/tidwall/wal"
	bolt "go.etcd.io/bbolt"
)

// Engine is what the store needs: one call makes a batch of new and ended jobs durable, and all jobs that
// have not ended can be read in order.
type Engine interface {
	Commit(first uint64, jobs [][]byte, ended []uint64) error
	Load(func(number uint64, job []byte)) error
	Close() error
}

func key(number uint64) []byte { return binary.BigEndian.AppendUint64(nil, number) }

// Pebble is a log-structured merge tree, with its own log, flushes and compactions.
type Pebble struct{ db *pebble.DB }

// OpenPebble opens one with the memory a broker can spare.
func OpenPebble(dir string) (Engine, error) {
	db, err := pebble.Open(dir, &pebble.Options{
		MemTableSize: 16 << 20, FormatMajorVersion: pebble.FormatNewest, Logger: quiet{}})
	return &Pebble{db}, err
}

type quiet struct{}

func (quiet) Infof(string, ...any)      {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Fatalf(f string, _ ...any) { panic(f) }

func (p *Pebble) Commit(first uint64, jobs [][]byte, ended []uint64) error {
	b := p.db.NewBatch()
	for i, job := range jobs {
		op := b.SetDeferred(8, len(job))
		binary.BigEndian.PutUint64(op.Key, first+uint64(i))
		copy(op.Value, job)
		op.Finish()
	}
	for _, n := range ended {
		op := b.SingleDeleteDeferred(8)
		binary.BigEndian.PutUint64(op.Key, n)
		op.Finish()
	}
	return b.Commit(pebble.Sync)
}

func (p *Pebble) Load(each func(uint64, []byte)) error {
	it, err := p.db.NewIter(nil)
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		each(binary.BigEndian.Uint64(it.Key()), it.Value())
	}
	return it.Close()
}

func (p *Pebble) Close() error { return p.db.Close() }

// Bolt is a B+ tree that rewrites changed pages.
type Bolt struct{ db *bolt.DB }

var bucket = []byte("jobs")

// OpenBolt opens one that, as the store may, keeps its list of free pages in memory only.
func OpenBolt(dir string) (Engine, error) {
	db, err := bolt.Open(filepath.Join(dir, "jobs.db"), 0o600,
		&bolt.Options{NoFreelistSync: true, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return nil, err
	}
	return &Bolt{db}, db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	})
}

func (e *Bolt) Commit(first uint64, jobs [][]byte, ended []uint64) error {
	return e.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucket)
		b.FillPercent = 1
		for i, job := range jobs {
			if err := b.Put(key(first+uint64(i)), job); err != nil {
				return err
			}
		}
		for _, n := range ended {
			if err := b.Delete(key(n)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (e *Bolt) Load(each func(uint64, []byte)) error {
	return e.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(bucket).ForEach(func(k, v []byte) error {
			each(binary.BigEndian.Uint64(k), v)
			return nil
		})
	})
}

func (e *Bolt) Close() error { return e.db.Close() }

// appendBatch writes jobs and ends into one record for the engines that are logs.
func appendBatch(b []byte, first uint64, jobs [][]byte, ended []uint64) []byte {
	b = binary.LittleEndian.AppendUint64(b, first)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(jobs)))
	for _, job := range jobs {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(job)))
		b = append(b, job...)
	}
	for _, n := range ended {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return b
}

// live holds what a log's reader needs besides: the jobs whose end it has not read.
type live struct {
	jobs  map[uint64][]byte
	order []uint64
}

func (l *live) batch(b []byte) {
	first, n := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:])
	b = b[12:]
	for i := range uint64(n) {
		size := binary.LittleEndian.Uint32(b)
		l.jobs[first+i] = b[4 : 4+size]
		l.order = append(l.order, first+i)
		b = b[4+size:]
	}
	for ; len(b) > 0; b = b[8:] {
		delete(l.jobs, binary.LittleEndian.Uint64(b))
	}
}

func (l *live) each(f func(uint64, []byte)) {
	for _, n := range l.order {
		if job, ok := l.jobs[n]; ok {
			f(n, job)
		}
	}
}

// Tidwall is a log of numbered entries in segments. It can drop entries before an index, and nothing else:
// cleaning would be the store's.
type Tidwall struct {
	log  *wal.Log
	next uint64
	buf  []byte
}

// OpenTidwall opens one.
func OpenTidwall(dir string) (Engine, error) {
	log, err := wal.Open(dir, &wal.Options{NoCopy: true})
	if err != nil {
		return nil, err
	}
	last, err := log.LastIndex()
	return &Tidwall{log: log, next: last + 1}, err
}

func (t *Tidwall) Commit(first uint64, jobs [][]byte, ended []uint64) error {
	t.buf = appendBatch(t.buf[:0], first, jobs, ended)
	t.next++
	return t.log.Write(t.next-1, t.buf)
}

func (t *Tidwall) Load(each func(uint64, []byte)) error {
	l := live{jobs: map[uint64][]byte{}}
	for i := uint64(1); i < t.next; i++ {
		b, err := t.log.Read(i)
		if err != nil {
			return err
		}
		l.batch(b)
	}
	l.each(each)
	return nil
}

func (t *Tidwall) Close() error { return t.log.Close() }

// Record is pebble's log of records without the tree: checksums and blocks; segments and cleaning would be
// the store's. It uses one file here.
type Record struct {
	file *os.File
	log  *record.Writer
	buf  []byte
}

// OpenRecord opens one.
func OpenRecord(dir string) (Engine, error) {
	f, err := os.OpenFile(filepath.Join(dir, "log"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return &Record{file: f, log: record.NewWriter(f)}, nil
}

func (r *Record) Commit(first uint64, jobs [][]byte, ended []uint64) error {
	r.buf = appendBatch(r.buf[:0], first, jobs, ended)
	if _, err := r.log.WriteRecord(r.buf); err != nil {
		return err
	}
	if err := r.log.Flush(); err != nil {
		return err
	}
	return fdatasync(r.file)
}

func (r *Record) Load(each func(uint64, []byte)) error {
	if _, err := r.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	l := live{jobs: map[uint64][]byte{}}
	for in := record.NewReader(r.file, 0); ; {
		rec, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		b, err := io.ReadAll(rec)
		if err != nil {
			return err
		}
		l.batch(b)
	}
	l.each(each)
	return nil
}

func (r *Record) Close() error { return r.file.Close() }
