package view

import (
	"gearloop/api"
	"gearloop/store"
)

// Keeper is what is shown of a store; nothing in it waits for the disk.
type Keeper interface {
	Stats() store.Stats
}

// SetStore tells which store there is, once there is one.
func (s *Source) SetStore(k Keeper) { s.store.Store(&k) }

// Keeper returns the store, nil while there is none.
func (s *Source) Keeper() Keeper {
	if k := s.store.Load(); k != nil {
		return *k
	}
	return nil
}

// Store returns what can be told of the store; false: there is none.
func (s *Source) Store() (st api.Store, ok bool) {
	k := s.Keeper()
	if k == nil {
		return st, false
	}
	n := k.Stats()
	st = api.Store{
		Engine: "disk", Directory: s.cfg.StoreDirectory, Sync: s.cfg.StoreSync, Up: n.Failed == nil,
		Jobs: n.Jobs, Live: n.LiveBytes, Disk: n.DiskBytes, Queued: n.Queued,
	}
	if n.Failed != nil {
		st.Error = n.Failed.Error()
	}
	return st, true
}
