package main

import (
	"math"
	"strings"
	"testing"
)

// The sum of all bounds stays below the available memory, however much that is and whatever the server does.
func TestMemoryPlanFits(t *testing.T) {
	for bytes := int64(64 << 20); bytes <= 1<<40; bytes += bytes / 3 {
		for kind := range 8 {
			a := memoryAsked{jobs: automatic, tls: kind&1 > 0, gateway: kind&2 > 0, store: kind&4 > 0}
			b := physical(bytes, "the machine")
			p := a.plan([]memoryBound{physical(2*bytes, "another"), b})
			sockets := bytes - b.heap - filesMemory
			if p.tightest != b || p.tooLarge() || float64(p.needed) > float64(b.heap)*liveShare+8192 || sockets < bytes/20 {
				t.Errorf("%d bytes, %+v: %+v of %+v", bytes, a, p, b)
			}
			if p.jobs < minMemory || p.jobs < bytes/10 || p.connections < 64 || p.heap > b.heap || p.heap < p.needed || p.queued <= 0 {
				t.Errorf("%d bytes, %+v: %+v", bytes, a, p)
			}
			if (p.socketBuffer > 0) != (bytes < 2<<30) {
				t.Errorf("%d bytes: sockets have %d", bytes, p.socketBuffer)
			}
		}
	}
}

// Bounds that the user sets are kept. The server warns if they exceed the memory.
func TestMemoryPlanAsAsked(t *testing.T) {
	machine := []memoryBound{physical(1<<30, "the machine")}
	for _, c := range []struct {
		name        string
		asked       memoryAsked
		bounds      []memoryBound
		jobs        int64
		connections int
		tooLarge    bool
	}{
		{"a number", memoryAsked{jobs: 5 << 20}, machine, 5 << 20, 21749, false},
		{"more than there is", memoryAsked{jobs: 900 << 20}, machine, 900 << 20, 21749, true},
		{"more connections than fit", memoryAsked{jobs: 5 << 20, connections: 1e6}, machine, 5 << 20, 0, true},
		{"so many with TLS", memoryAsked{jobs: 5 << 20, connections: 1e5, tls: true}, machine, 5 << 20, 0, true},
		{"and without", memoryAsked{jobs: 5 << 20, connections: 1e5}, machine, 5 << 20, 0, false},
		{"no bound", memoryAsked{}, machine, 0, 21749, false},
		{"nothing known", memoryAsked{jobs: 5 << 20}, nil, 5 << 20, 0, false},
		{"the least", memoryAsked{jobs: automatic}, []memoryBound{{16 << 20, 8 << 20, "RLIMIT_AS"}}, minMemory, 204, true},
	} {
		p := c.asked.plan(c.bounds)
		if p.jobs != c.jobs || p.connections != c.connections || p.tooLarge() != c.tooLarge {
			t.Errorf("%s: %+v", c.name, p)
		}
		if c.bounds == nil && p.heap <= c.jobs {
			t.Errorf("%s: the heap has %d bytes", c.name, p.heap)
		}
	}
}

func TestMemoryOfThisMachine(t *testing.T) {
	bounds, err := memoryBounds()
	if err != nil || len(bounds) == 0 {
		t.Fatal(bounds, err)
	}
	for _, b := range bounds {
		if b.bytes < 16<<20 || b.bytes > math.MaxInt64/2 || b.heap < 0 || b.heap >= b.bytes || b.whose == "" {
			t.Errorf("%+v", b)
		}
	}
	p, err := defaults().planMemory()
	if err != nil || p.jobs < minMemory || p.jobs >= p.tightest.bytes/2 {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestLeastMemory(t *testing.T) {
	for text, ok := range map[string]bool{"0": true, "auto": true, "1M": true, "1023K": false, "1": false, "64K": false} {
		o, err := parsed(t, []string{"--max-memory", text}, nil)
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "at least 1M") {
			t.Errorf("%s: %v, %v", text, o.maxMemory, err)
		}
	}
}
