package sched

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"gearloop/codec"
	"gearloop/internal/payload"
	"gearloop/store"
)

// TestReceiptsBesideWorkers: receipts come from their own goroutine, and others handle them, while workers come and
// go. Each submission is answered once. It is also for the race detector.
func TestReceiptsBesideWorkers(t *testing.T) {
	bothDialects(t, func(t *testing.T, cfg Config) {
		cfg.HandlePrefix = "H:r"
		s := New(cfg)
		eager := &eagerStore{fakeStore: newFakeStore(), appended: make(chan store.Receipt, 1000)}
		s.Keep(eager)
		s.Opened(1)
		s.Lease(store.Never, start, &Effects{})
		var settlers, others sync.WaitGroup
		var reserved, answered atomic.Int64
		drop := func(fx *Effects) {
			for i := range fx.Packets {
				p := &fx.Packets[i]
				p.Body.Release()
				switch {
				case p.Type == Reserve:
					reserved.Add(1)
				case p.Ticket != 0:
					answered.Add(1)
				}
			}
			fx.Reset()
		}
		gathered := make(chan struct{}, 1000)
		settlers.Go(func() {
			defer close(gathered)
			for receipt := range eager.appended {
				receipt.Stored(1, nil)
				s.Gather()
				gathered <- struct{}{}
			}
		})
		for range 2 {
			settlers.Go(func() {
				var fx Effects
				for range gathered {
					for s.SettleSome(3, start, &fx) {
					}
					drop(&fx)
				}
			})
		}
		for range 2 {
			others.Go(func() {
				var fx Effects
				c := &Peer{}
				s.Connect(c)
				for n := range 200 {
					for _, typ := range []codec.Type{codec.SubmitJob, codec.SubmitJobBg} {
						s.Handle(c, typ, payload.Borrow([]byte("f\x00u"+strconv.Itoa(n)+"\x00x")), start, &fx)
						drop(&fx)
					}
				}
				s.Disconnect(c, start, &fx)
			})
			others.Go(func() {
				var fx Effects
				for range 200 {
					w := &Peer{}
					s.Connect(w)
					s.Handle(w, codec.CanDoTimeout, payload.Borrow([]byte("f\x0010")), start, &fx)
					s.Handle(w, codec.GrabJob, payload.View{}, start, &fx)
					s.Fire(&w.limit, start, &fx)
					s.Disconnect(w, start, &fx)
					drop(&fx)
				}
			})
		}
		others.Wait()
		close(eager.appended)
		settlers.Wait()
		if reserved.Load() != answered.Load() || reserved.Load() == 0 {
			t.Errorf("%d submissions were answered of %d", answered.Load(), reserved.Load())
		}
		if err := s.checkInvariants(view{}); err != nil {
			t.Fatal(err)
		}
	})
}

// eagerStore passes its receipts to a goroutine that calls them at once.
type eagerStore struct {
	*fakeStore
	appended chan store.Receipt
}

func (e *eagerStore) Append(_ *store.Job, r store.Receipt) (store.Ref, error) {
	e.appended <- r
	return 1, nil
}
func (e *eagerStore) Hurry()                                   {}
func (e *eagerStore) Done(store.Ref)                           {}
func (e *eagerStore) Update(store.Ref, uint16, store.Priority) {}
