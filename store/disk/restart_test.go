package disk

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
	"gearloop/test/sample"
)

// tail is the share of unsynced data that survives a crash, in percent.
type tail int

const (
	power  tail = 0
	torn   tail = 50
	killed tail = 100 // the system continues, and has what was written
)

// Several crashes follow each other: one while jobs are stored, the next while the store is opened again.
// Each happens before any of the calls that change something, and leaves any kind of tail.
func TestCrashInStarts(t *testing.T) {
	const lastCalls, callsOfStart = 6, 18
	kinds := []tail{killed, torn, power}
	for _, mode := range []SyncMode{SyncAlways, SyncInterval, SyncNone} {
		for _, first := range kinds {
			t.Run(fmt.Sprintf("mode %d, %d%%", mode, first), func(t *testing.T) {
				t.Parallel()
				whole := &mortal{t: t, mode: mode, tails: []tail{killed}, at: []int{0}}
				whole.live()
				// One crash in a start, at each call.
				for at := 0; at < callsOfStart; at += sample.Of(1, 5) {
					for _, second := range []tail{killed, power} {
						if first == torn && cycles(t) == 0 {
							continue // slow, see below
						}
						m := &mortal{t: t, mode: mode, seed: uint64(at), tails: []tail{first, second}}
						m.at = []int{whole.worked + 1, at + 1}
						m.live()
					}
				}
				// Two in a row, chosen evenly: the step has no divisor in common with the number of calls.
				// Package record takes long to search a torn record for a flipped bit, so not all are tried.
				step, fewer := sample.Of(331, 5*331), sample.Of(12, 4)
				if cycles(t) > 0 {
					step, fewer = 29, 20
				}
				for n := step; ; n += step {
					rest := n
					draw := func(of int) int {
						defer func() { rest /= of }()
						return rest % of
					}
					m := &mortal{t: t, mode: mode, seed: uint64(n)}
					m.at = []int{whole.worked + 1 - draw(lastCalls), 1 + draw(callsOfStart), 1 + draw(callsOfStart)}
					m.tails = []tail{first, kinds[draw(3)], kinds[draw(3)]}
					if rest > 0 {
						break
					}
					if !slices.Contains(m.tails, torn) || n/step%fewer == 0 {
						m.live()
					}
				}
			})
		}
	}
}

// A process was killed, and each call of the next start fails in turn, once or from then on: on a disk that
// is full, that cannot be read, or that cannot be written any more. Whether the store opens or reports why
// not, nothing is lost, even if power fails then.
func TestFaultInStarts(t *testing.T) {
	for _, fault := range []error{errNoSpace, errIO, errReadOnly, errShort} {
		for _, times := range []int{1, 1000} {
			t.Run(fmt.Sprintf("%v, %d times", fault, times), func(t *testing.T) {
				t.Parallel()
				meet := func(at int, mode SyncMode, last tail) (calls int) {
					m := &mortal{
						t: t, mode: mode, fault: fault, times: times, seed: uint64(at),
						at: []int{0, at, at / 2}, tails: []tail{killed, killed, last},
					}
					m.live()
					return m.touched
				}
				step := sample.Of(min(times, 3)+3, 17)
				if cycles(t) > 0 {
					step = 1
				}
				most := meet(1000, SyncAlways, killed)
				if most < 40 {
					t.Fatal("there are hardly any calls:", most)
				}
				for at := 1; at <= most; at += step {
					meet(at, SyncAlways, []tail{killed, power}[at/step%2])
					meet(at, SyncNone, []tail{power, killed}[at/step%2])
				}
			})
		}
	}
}

// mortal is a store whose process crashes again and again.
type mortal struct {
	t     *testing.T
	mode  SyncMode
	tails []tail // of each crash
	at    []int  // the call before which it crashes
	seed  uint64

	fault error // error of later calls in all starts but the first, instead of a crash; nil: it crashes
	times int   // so many calls fail

	fs      *vfs.MemFS
	l       *ledger
	gone    map[uint64]bool // jobs whose end is written
	run     uint64
	calls   int
	worked  int // calls of the first process
	touched int // most calls of another one
	dead    bool
}

func (m *mortal) String() string {
	return fmt.Sprintf("%d faults (%v), or crashes, from calls %d on, of which %d%% stay, mode %d, seed %d",
		m.times, m.fault, m.at, m.tails, m.mode, m.seed)
}

// live makes all crashes happen and examines what is left.
func (m *mortal) live() {
	m.t.Helper()
	m.fs, m.l, m.gone = vfs.NewCrashableMem(), newLedger(), map[uint64]bool{}
	rng := rand.New(rand.NewPCG(m.seed, 1))
	for i, left := range m.tails {
		var fault error
		if i > 0 {
			fault = m.fault
		}
		d, err := m.open(m.at[i], fault)
		if err == nil && i == 0 {
			m.work(d)
			m.worked = m.calls
		} else if err == nil {
			// It may also crash while it tidies up.
			if _, err = loadAll(d); err == nil {
				for range 5 {
					d.turn()
				}
			}
		}
		if err != nil && !errors.Is(err, errCrash) && (fault == nil || errors.Is(err, store.ErrDamaged)) {
			m.t.Fatalf("%v: start %d: %v", m, i, err)
		}
		if m.dead = true; i > 0 {
			m.touched = max(m.touched, m.calls)
		}
		if d != nil {
			d.closeOut()
			_ = d.dir.Close()
		}
		if left != killed {
			m.fs = m.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: int(left), RNG: rng})
			m.gone = nil // the last ends need not be on the disk
			if m.mode != SyncAlways {
				m.l.acked = nil
			}
		}
	}
	var first []uint64
	for again := range 2 {
		d, err := m.open(0, nil)
		if err != nil {
			m.t.Fatalf("%v: %v", m, err)
		}
		if err := m.l.check(d, false); err != nil {
			m.t.Fatalf("%v: %v", m, err)
		}
		there := m.l.found
		for _, number := range there {
			if m.gone[number] {
				m.t.Fatalf("%v: job %d has ended and is back", m, number)
			}
		}
		if again == 0 {
			first = there
		} else if !slices.Equal(first, there) {
			m.t.Fatalf("%v: the jobs %v at the first start, %v at the second", m, first, there)
		}
		d.turn()
		d.closeOut()
		_ = d.dir.Close()
	}
}

// open opens the store. Its process dies before call number at of those that change something, or some calls
// from there on fail.
func (m *mortal) open(at int, fault error) (*Disk, error) {
	m.calls, m.dead = 0, false
	opts := quick(&hookFS{FS: m.fs, before: func(op, _ string) error {
		switch op {
		case "read", "stat", "list", "open", "opendir":
			if fault != nil {
				m.calls++
			}
		default:
			m.calls++
		}
		m.dead = m.dead || fault == nil && at > 0 && m.calls == at
		switch {
		case m.dead:
			return errCrash
		case m.calls >= at && m.calls < at+m.times:
			return fault
		}
		return nil
	}})
	opts.manual, opts.Sync, opts.Interval, opts.lazyFor, opts.segmentSize = true, m.mode, 1, 1, 64<<10
	opts.retryEvery = 1
	d, err := Open(opts)
	if err == nil {
		if d.opened <= m.run {
			m.t.Fatalf("%v: run %d after %d", m, d.opened, m.run)
		}
		m.run = d.opened
	}
	return d, err
}

// work stores jobs and ends some, so that the newest segment has a tail of several blocks.
func (m *mortal) work(d *Disk) {
	m.l.d = d
	if _, err := loadAll(d); err != nil {
		return
	}
	number := uint64(0)
	add := func(size int) {
		number++
		job := small(number)
		job.Argument = [][]byte{bytes.Repeat([]byte{byte(number)}, size)}
		m.l.append(job)
	}
	turn := func() {
		for range 3 {
			d.turn()
		}
	}
	end := func(numbers ...uint64) {
		for _, n := range numbers {
			m.l.end(n)
		}
		turn()
		for _, n := range numbers {
			if !m.dead {
				m.gone[n] = true
			}
		}
	}
	for range 12 {
		add(5000)
		turn()
	}
	add(testLarge)
	add(testLarge + 1)
	turn()
	end(1, 2, 3, 4, 5, 13)
	for range 8 {
		add(10)
		turn()
	}
	for range 60 {
		add(2000)
	}
	turn()
	add(testLarge)
	turn()
	end(14, 20, 30)
	d.Update(m.l.refs[33], 3, m.l.appended[33].Priority)
	end(31, 40, 41, 75)
	for range 60 {
		add(1500)
	}
	turn()
}
