package view

import (
	"time"

	"gearloop/api"
	"gearloop/internal/histogram"
	"gearloop/store"
	"gearloop/store/disk"
)

// Keeper is what is shown of a store. Except for Free nothing waits for the disk.
type Keeper interface {
	Stats() store.Stats
	Activity() disk.Activity
	Free() (int64, error) // may wait for the disk
}

// SetStore sets the store.
func (s *Source) SetStore(k Keeper) { s.store.Store(&k) }

// SetLoaded sets how long loading the store took.
func (s *Source) SetLoaded(took time.Duration) { s.loaded.Store(int64(took)) }

// StoreLoad returns how long loading the store took; 0: not loaded.
func (s *Source) StoreLoad() time.Duration { return time.Duration(s.loaded.Load()) }

// StoreFree returns the free space for the store, in bytes, some seconds old.
func (s *Source) StoreFree() int64 { return s.free.Load() }

// lookAtDisk determines the free space in a goroutine of its own, because the disk may not answer.
func (s *Source) lookAtDisk() {
	k := s.Keeper()
	if k == nil || !s.looking.CompareAndSwap(false, true) {
		return
	}
	go func() {
		if n, err := k.Free(); err == nil {
			s.free.Store(n)
		}
		s.looking.Store(false)
	}()
}

// Keeper returns the store, or nil.
func (s *Source) Keeper() Keeper {
	if k := s.store.Load(); k != nil {
		return *k
	}
	return nil
}

// Store describes the store; false if there is none.
func (s *Source) Store() (st api.Store, ok bool) {
	k := s.Keeper()
	if k == nil {
		return st, false
	}
	n, a := k.Stats(), k.Activity()
	st = api.Store{
		Engine: s.cfg.StoreEngine, Directory: s.cfg.StoreDirectory, Sync: s.cfg.StoreSync, Up: n.Failed == nil,
		Segments: a.Segments, Written: api.Count(a.Written), LoadTime: s.StoreLoad().Seconds(),
		Failures: api.Count(a.Failures.Sum()), FailuresBy: map[string]api.Count{},
		SyncP50: a.Sync.Seconds(histogram.Turns, .5), SyncP99: a.Sync.Seconds(histogram.Turns, .99), Free: s.free.Load(),
		Jobs: n.Jobs, Live: n.LiveBytes, Disk: n.DiskBytes, Queued: n.Queued,
	}
	for op, n := range a.Failures {
		st.FailuresBy[disk.Operation(op).String()] = api.Count(n)
	}
	if n.Failed != nil {
		st.Error = n.Failed.Error()
	}
	if !a.Since.IsZero() {
		st.FailingAt = &api.Instant{At: a.Since.UTC(), Ago: max(s.cfg.Now().Sub(a.Since), 0).Seconds()}
	}
	return st, true
}
