package sched

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gearloop/codec"
)

// TestHandleText: a shard writes the same handles as the scheduler, whichever it wrote before.
func TestHandleText(t *testing.T) {
	s := newRig(t, perl()).s
	sh := &s.shards[5]
	numbers := []uint64{1, 9, 10, 9_999, 10_000, 10_001, 10_064, 19_999, 20_000, 99_999, 100_000,
		123_456_789, 1 << 40, 9_999_999_999_999_999_999}
	for range 2 {
		for _, before := range numbers {
			for _, n := range numbers {
				for _, number := range []uint64{before, n, n} {
					got, want := string(sh.appendHandle([]byte("x"), number)), string(s.AppendHandle([]byte("x"), number))
					if got != want {
						t.Fatalf("%d behind %d: %q, want %q", number, before, got, want)
					}
				}
			}
		}
	}
}

func TestParseHandle(t *testing.T) {
	long := strings.Repeat("x", MaxHandle)
	tests := []struct {
		prefix, handle string
		number         uint64
	}{
		{"H:t", "H:t:1", 1},
		{"H:t", "H:t:64", 64},
		{"H:t", "H:t:9999999999999999999", 9999999999999999999},
		{"H:t", "H:t:10000000000000000000", 0}, // one digit more
		{"H:t", "H:t:0", 0},
		{"H:t", "H:t:01", 0},
		{"H:t", "H:t:00", 0},
		{"H:t", "H:t:", 0},
		{"H:t", "H:t", 0},
		{"H:t", "H:", 0},
		{"H:t", "", 0},
		{"H:t", "1", 0},
		{"H:t", "H:t:1 ", 0},
		{"H:t", "H:t: 1", 0},
		{"H:t", "H:t:+1", 0},
		{"H:t", "H:t:-1", 0},
		{"H:t", "H:t:1a", 0},
		{"H:t", "H:t:1\x00", 0},
		{"H:t", "h:t:1", 0},
		{"H:t", "H:u:1", 0},
		{"H:t", "H:tt:1", 0},
		{"H:t", "H:t;1", 0},
		{"H:t", "H:t:1:1", 0},
		{"H:t", "xH:t:1", 0},
		{"H:t", long, 0},
		{"", ":7", 7},
		{"H:a:b", "H:a:b:7", 7},
		{"H:a:b", "H:a:7", 0},
	}
	for _, tt := range tests {
		s := New(Config{Dialect: perl().Dialect, HandlePrefix: tt.prefix})
		if got := s.parseHandle([]byte(tt.handle)); got != tt.number {
			t.Errorf("parseHandle(%q) with prefix %q = %d, want %d", tt.handle, tt.prefix, got, tt.number)
		}
	}
}

// TestHandleRoundTrip: for every number of a shard, the handle leads back to the number and the shard.
func TestHandleRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prefix := rapid.StringN(0, 100, 200).Draw(t, "prefix")
		s := New(Config{Dialect: perl().Dialect, HandlePrefix: prefix})
		sh := &s.shards[rapid.IntRange(0, shardCount-1).Draw(t, "shard")]
		sh.sequence = rapid.Uint64Range(0, 1<<56).Draw(t, "sequence")
		number := sh.nextNumber()
		handle := s.AppendHandle(nil, number)
		if got := s.parseHandle(handle); got != number {
			t.Fatalf("%q leads to %d, not %d", handle, got, number)
		}
		if s.shardOfJob(number) != sh {
			t.Fatalf("%q leads to shard %d, not %d", handle, s.shardOfJob(number).index, sh.index)
		}
		if len(handle) >= MaxHandle {
			t.Fatalf("%q has %d bytes", handle, len(handle))
		}
		if sh.nextNumber() == number {
			t.Fatalf("number %d was given twice", number)
		}
	})
}

// TestLongHostName: workers find their jobs even with the longest possible host name.
func TestLongHostName(t *testing.T) {
	cfg := perl()
	cfg.HandlePrefix = "H:" + strings.Repeat("n", 64)
	r := newRig(t, cfg)
	client, worker := r.connect(), r.worker("f")
	h := r.submit(client, codec.SubmitJob, "f", "", "x")
	if len(h) >= MaxHandle {
		t.Errorf("handle %q has %d bytes", h, len(h))
	}
	r.do(worker, codec.GrabJob)
	r.do(worker, codec.WorkComplete, h, "y")
	r.want(worker, "JOB_ASSIGN h1|f|x")
	r.want(client, "WORK_COMPLETE h1|y")
}

// TestHandlesAreNotReused: a number is never reused, even long after its job has ended.
func TestHandlesAreNotReused(t *testing.T) {
	r := newRig(t, perl())
	client, worker := r.connect(), r.worker("f", "g")
	seen := map[string]bool{}
	for i := range 200 {
		h := r.submit(client, codec.SubmitJobBg, []string{"f", "g"}[i%2], "", "")
		if seen[h] {
			t.Fatalf("%s was given twice", h)
		}
		seen[h] = true
		r.do(worker, codec.GrabJob)
		r.do(worker, codec.WorkComplete, h, "")
	}
}
