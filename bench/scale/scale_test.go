package main

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"gearloop/test/await"
	"gearloop/test/peers"
)

const heapProfile = `heap profile: 4: 700 [9: 900] @ heap/2
2: 400 [2: 400] @ 0x1 0x2 0x3
#	0x1	runtime.makemap+0x10	/go/map.go:1
#	0x2	gearloop/sched.(*Sched).Connect+0x20	/sched/peer.go:2
#	0x3	gearloop/reactor.(*Server).OnOpen+0x30	/reactor/conn.go:3

1: 100 [1: 100] @ 0x4
#	0x4	github.com/panjf2000/gnet/v2/pkg/socket.Sockaddr+0x1	/gnet/a.go:1

0: 0 [5: 200] @ 0x5
#	0x5	net.Dial+0x1	/net/dial.go:1

1: 200 [1: 200] @ 0x6
#	0x6	runtime.newm+0x1	/go/proc.go:1

# runtime.MemStats
# HeapAlloc = 1234
# Stack = 56 / 78
`

func TestHeapByPackage(t *testing.T) {
	got, err := heapByPackage([]byte(heapProfile))
	want := map[string]float64{"gearloop/sched": 400, "github.com/panjf2000/gnet/v2/pkg/socket": 100, "runtime": 200}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	for name, want := range map[string]float64{"HeapAlloc": 1234, "Stack": 56} {
		if got, err := memStat([]byte(heapProfile), name); got != want || err != nil {
			t.Errorf("%s is %v, %v", name, got, err)
		}
	}
	if _, err := memStat([]byte(heapProfile), "Heap"); err == nil {
		t.Error("a figure that is not there was found")
	}
}

func TestSlabs(t *testing.T) {
	got, err := slabs([]byte("slabinfo - version: 2.1\n# name <active_objs> ...\nTCP 92 156 2368 13 8 : tunables 0 0 0\nfilp 10 20 192 21 1\n"))
	if want := map[string]float64{"TCP": 92 * 2368, "filp": 1920}; err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := slabs([]byte("TCP many 156 2368\n")); err == nil {
		t.Error("nonsense is understood")
	}
}

func TestSlopes(t *testing.T) {
	at := func(n float64) sample {
		return sample{
			resident: 1000 + 30*n, live: 500 + 20*n, stacks: 10,
			heap:  map[string]float64{"gearloop/sched": 2 * n, "gearloop/internal/payload": 3 * n, "net": 4 * n, "github.com/panjf2000/gnet/v2": n},
			slabs: map[string]float64{"TCP": 100 * n, "ext4_inode_cache": 7 * n, "kmalloc-64": 2 * n},
		}
	}
	got := middle([]slopes{slopesOf([]int{10, 20, 40}, []sample{at(10), at(20), at(40)})})
	want := slopes{
		inOurs: 3, inSched: 2, inGnet: 1, inOthers: 4, live: 20, stacks: 0, unused: 10, resident: 30,
		sockets: 50, otherKernel: 1, kernel: 51,
	}
	for row, v := range want {
		if d := got[row] - v; d > 1e-6 || d < -1e-6 {
			t.Errorf("%s: %v, want %v", row, got[row], v)
		}
	}
	var table strings.Builder
	writeTable(&table, []int{10, 20}, []column{{"idle", got}})
	for _, line := range []string{"| bytes for each | idle |\n|---|--:|\n", "| gnet's | 1 |\n", "| kernel: epoll | – |\n"} {
		if !strings.Contains(table.String(), line) {
			t.Errorf("no %q in\n%s", line, &table)
		}
	}
}

// TestSeries measures a few connections: there are figures for everything, and more connections take more.
func TestSeries(t *testing.T) {
	peers.Binary(t) // building it takes time of its own
	ctx, cancel := context.WithTimeout(context.Background(), await.Scaled(time.Minute))
	defer cancel()
	o := options{times: 1}
	if err := o.parse("100,600"); err != nil {
		t.Fatal(err)
	}
	for _, k := range kinds {
		samples, err := o.series(ctx, k.load, []string{"GODEBUG=memprofilerate=1"})
		if err != nil {
			t.Fatal(err)
		}
		s := slopesOf(o.counts, samples)
		for _, row := range []string{inOurs, inSched, inGnet, live} {
			if s[row] < 20 || s[row] > 4000 {
				t.Errorf("%s: %s is %v bytes for each", k.title, row, s[row])
			}
		}
	}
	for _, bad := range []string{"", "5", "10,5", "x,10", "1,10"} {
		if err := (&options{times: 1}).parse(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
