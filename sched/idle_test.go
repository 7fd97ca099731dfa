package sched

import (
	"math/rand/v2"
	"testing"

	"gearloop/codec"
)

// A worker is idle exactly if GRAB_JOB is answered NO_JOB, as long as every job's client is there.
func TestIdle(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	names := []string{"a", "b", "c", "d"}
	name := func() string { return names[rng.IntN(len(names))] }
	r := newRig(t, perl())
	client, w := r.connect(), r.connect()
	seen := map[bool]int{}
	for range 3000 {
		switch rng.IntN(8) {
		case 0, 1:
			typ := []codec.Type{codec.SubmitJob, codec.SubmitJobHighBg, codec.SubmitJobLowBg}[rng.IntN(3)]
			r.do(client, typ, name(), "", "x")
		case 2:
			r.do(w, codec.CanDo, name())
		case 3:
			r.do(w, codec.CantDo, name())
		case 4:
			r.pause(name(), Setting{})
		case 5:
			r.resume(name())
		default:
			idle := w.Idle()
			seen[idle]++
			r.got[w] = nil
			r.do(w, codec.GrabJob)
			if got := r.got[w]; len(got) != 1 || (got[0] == "NO_JOB") != idle {
				t.Fatalf("GRAB_JOB of a worker that is idle=%v is answered %q", idle, got)
			}
		}
	}
	if seen[true] < 100 || seen[false] < 100 {
		t.Errorf("idle and not: %v", seen)
	}
}
