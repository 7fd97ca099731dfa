package disk

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
	"gearloop/test/await"
)

// groups collects the receipts between two calls of Flushed.
type groups struct {
	store.NoEvents
	mu     sync.Mutex
	group  []uint64
	groups [][]uint64
	runs   int
}

type groupReceipt struct {
	g      *groups
	number uint64
}

func (r groupReceipt) Stored(store.Ref, error) { r.g.group = append(r.g.group, r.number) }

func (g *groups) Opened(uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.runs++
}

func (g *groups) Flushed() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.group) > 0 {
		g.groups, g.group = append(g.groups, g.group), nil
	}
}

// told returns the groups of receipts so far.
func (g *groups) told() [][]uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.groups)
}

// renew has the committer open a run, and waits until it has.
func (g *groups) renew(t *testing.T, d *Disk) {
	t.Helper()
	g.mu.Lock()
	before := g.runs
	g.mu.Unlock()
	d.NewRun()
	await.Until(t, "a run is opened", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.runs > before
	})
}

func startGroups(t *testing.T, within time.Duration) (*Disk, *groups, func(from, to uint64)) {
	opts := quick(vfs.NewMem())
	opts.hurryWithin = within
	d := open(t, opts)
	t.Cleanup(func() { closeStore(t, d) })
	g := &groups{}
	if err := d.Start(g); err != nil {
		t.Fatal(err)
	}
	return d, g, func(from, to uint64) {
		t.Helper()
		for n := from; n < to; n++ {
			if _, err := d.Append(small(n), groupReceipt{g, n}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Jobs wait for Hurry, also while the committer has other work, and are then one batch.
func TestHurry(t *testing.T) {
	d, g, add := startGroups(t, time.Hour)
	for round := range uint64(3) {
		n := 10 * round
		add(n, n+3)
		g.renew(t, d)
		g.renew(t, d) // since the first one the committer has looked for jobs
		add(n+3, n+5)
		if told := g.told(); len(told) != int(round) {
			t.Fatalf("receipts of %v before Hurry", told)
		}
		d.Hurry()
		await.Until(t, "the receipts come", func() bool { return len(g.told()) > int(round) })
		if told, want := g.told()[round], []uint64{n, n + 1, n + 2, n + 3, n + 4}; !slices.Equal(told, want) {
			t.Fatalf("a batch of %v, want %v", told, want)
		}
		d.Hurry() // for nothing
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.next.hurried {
		t.Error("a Hurry without jobs is kept for later ones")
	}
}

// A long group is written before its Hurry.
func TestLongGroup(t *testing.T) {
	_, g, add := startGroups(t, time.Hour)
	add(0, gatherMost-1)
	if told := g.told(); len(told) > 0 {
		t.Fatalf("receipts of %v", told)
	}
	add(gatherMost-1, gatherMost)
	await.Until(t, "the receipts come", func() bool { return len(g.told()) == 1 })
}

// Without Hurry jobs are written in time, again and again.
func TestNoHurry(t *testing.T) {
	_, g, add := startGroups(t, time.Millisecond)
	for n := range uint64(5) {
		before := len(g.told())
		add(2*n, 2*n+2)
		await.Until(t, "the receipts come", func() bool {
			told := g.told()
			return len(told) > before && slices.Contains(told[len(told)-1], 2*n+1)
		})
	}
}

// A job behind one that came alone does not wait for Hurry.
func TestOneByOne(t *testing.T) {
	d, g, add := startGroups(t, time.Hour)
	add(0, 1)
	d.Hurry()
	for n := range uint64(3) {
		await.Until(t, "the receipt comes", func() bool { return len(g.told()) == int(n)+1 })
		add(n+1, n+2)
	}
}

// Few jobs with many bytes are written before their Hurry: otherwise they would fill the queue, and be refused, while
// the disk is idle.
func TestGroupOfManyBytes(t *testing.T) {
	for _, most := range []int64{1 << 20, 2 * gatherBytes} {
		opts := quick(vfs.NewMem())
		opts.hurryWithin, opts.large, opts.MaxQueued = time.Hour, store.LargeArgument, most
		d := open(t, opts)
		t.Cleanup(func() { closeStore(t, d) })
		g := &groups{}
		if err := d.Start(g); err != nil {
			t.Fatal(err)
		}
		add := func(n uint64) {
			t.Helper()
			job := small(n)
			job.Argument = [][]byte{make([]byte, 100<<10)}
			if _, err := d.Append(job, groupReceipt{g, n}); err != nil {
				t.Fatal(err)
			}
		}
		n := uint64(0)
		for ; int64(n+1)*(101<<10) < min(gatherBytes, most/2); n++ {
			add(n)
		}
		if told := g.told(); len(told) > 0 {
			t.Fatalf("receipts of %v", told)
		}
		add(n)
		add(n + 1)
		await.Until(t, "the receipts come", func() bool { return len(g.told()) > 0 })
	}
}
