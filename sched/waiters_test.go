package sched

import (
	"testing"

	"gearloop/codec"
	"gearloop/internal/payload"
)

// TestWaitersAreBounded joins background submissions to a job that is not stored yet: each is charged, those
// beyond MaxWaiters are refused, and with the receipt their memory is free again, however the job has fared
// by then.
func TestWaitersAreBounded(t *testing.T) {
	for name, end := range map[string]func(r *rig){
		"stored":    func(r *rig) { r.receive(-1, nil) },
		"refused":   func(r *rig) { r.receive(-1, errDisk) },
		"cancelled": func(r *rig) { r.cancel(r.s.handleOfOnly()); r.receive(-1, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			r, c, _ := stored(t, perl())
			idle := r.s.Count().Memory
			r.do(c, codec.SubmitJobBg, "f", "u", "x")
			alone := r.s.Count().Memory
			var fx Effects
			join := func() codec.Type {
				r.s.Handle(c, codec.SubmitJobBg, payload.Borrow([]byte("f\x00u\x00x")), r.now, &fx)
				last := fx.Packets[len(fx.Packets)-1].Type
				fx.Reset()
				return last
			}
			for i := range MaxWaiters {
				if got := join(); got != Reserve {
					t.Fatalf("waiter %d: %v", i+1, got)
				}
			}
			if n := r.s.Count().Memory - alone; n != MaxWaiters*costWaiter {
				t.Errorf("%d bytes are charged for %d waiters", n, MaxWaiters)
			}
			if got := join(); got != codec.Error {
				t.Errorf("one more than MaxWaiters: %v", got)
			}
			r.check()
			r.owed = map[*Peer]map[uint32]bool{c: {}}
			for ticket := range uint32(MaxWaiters + 1) {
				r.owed[c][ticket+1] = true
			}
			end(r)
			if n := len(r.owed[c]); n != 0 {
				t.Errorf("%d waiters are not answered", n)
			}
			if name == "stored" {
				r.cancel(r.s.handleOfOnly())
			}
			if n := r.s.Count().Memory; n != idle {
				t.Errorf("%d bytes are charged at the end, %d before", n, idle)
			}
		})
	}
}

// handleOfOnly returns the handle of the only job.
func (s *Sched) handleOfOnly() string { return string(s.AppendHandle(nil, s.Jobs()[0].Number)) }
