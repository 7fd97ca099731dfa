package disk

import (
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/test/sample"
)

// A store that continues the newest segment writes the same as one that was never closed, whatever was
// written before, up to any offset in a block.
func TestResume(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for life := range sample.Of(12, 4) {
		fs, l := vfs.NewCrashableMem(), newLedger()
		number := uint64(0)
		segments, orderly := 0, true
		for again := range 12 {
			opts := quick(fs)
			opts.segmentSize, opts.resume, opts.manual = 1<<20, life%4 > 0, true
			if again == 6 {
				opts.resume = false // a broker in between begins a segment
			}
			l.d = open(t, opts)
			if err := l.check(l.d, orderly); err != nil {
				t.Fatalf("life %d, start %d: %v", life, again+1, err)
			}
			for range rng.IntN(30) {
				number++
				job := small(number)
				job.Argument = [][]byte{make([]byte, rng.IntN(testLarge+200))}
				l.append(job)
				l.d.turn()
				if rng.IntN(3) == 0 {
					l.end(number)
				}
			}
			if life%4 == 2 && rng.IntN(3) == 0 {
				// It is killed: the next one begins a new segment.
				l.d.turn()
				l.d.closeOut()
				if err := l.d.dir.Close(); err != nil {
					t.Fatal(err)
				}
				orderly = false
			} else {
				l.d.mu.Lock()
				l.d.closed = true
				l.d.mu.Unlock()
				for ended := false; !ended; {
					_, _, ended = l.d.turn()
				}
				if err := l.d.dir.Close(); err != nil {
					t.Fatal(err)
				}
			}
			segments = len(files(t, fs, segmentSuffix))
			if report, err := check(fs, testDir); err != nil || len(report.Damage) > 0 {
				t.Fatalf("life %d: %+v, %v", life, report, err)
			}
		}
		if life%4 == 1 && segments != 2 {
			t.Errorf("%d segments after eleven starts that went on, and one that did not", segments)
		}
	}
}

// A segment whose end is not in order is not continued.
func TestResumeOfUnknownEnd(t *testing.T) {
	for name, change := range map[string]func(content []byte, m *meta){
		"nothing":               func([]byte, *meta) {},
		"garbage behind":        func(content []byte, m *meta) { content[m.Synced+100] = 1 },
		"less was promised":     func(_ []byte, m *meta) { m.Synced -= 10 },
		"a part does not count": func(_ []byte, m *meta) { m.End = m.Synced },
		"another is newer":      func(_ []byte, m *meta) { m.Last-- },
	} {
		fs := vfs.NewCrashableMem()
		d := open(t, quick(fs))
		load(t, d)
		put(t, d, newReceipts(), small(1))
		closeStore(t, d)
		m, err := readMeta(fs, testDir)
		if err != nil {
			t.Fatal(err)
		}
		content := readFile(t, fs, testDir+"/"+segmentName(m.Last))
		segment := segmentName(m.Last)
		change(content, &m)
		writeFile(t, fs, testDir+"/"+segment, content)
		m.Turn++
		if err := writeMeta(fs, testDir, m); err != nil {
			t.Fatal(err)
		}
		opts := quick(fs)
		opts.resume = true
		d = open(t, opts)
		if jobs := load(t, d); len(jobs) != 1 {
			t.Errorf("%s: %d jobs", name, len(jobs))
		}
		closeStore(t, d)
		want := segmentName(2)
		if name == "nothing" {
			want = segment
		}
		if all := files(t, fs, segmentSuffix); all[len(all)-1] != want {
			t.Errorf("%s: segments %q, the last should be %s", name, all, want)
		}
	}
}
