package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gearloop/sched"
	"gearloop/store"
	"gearloop/store/disk"
)

// syncFlag is the option that says when a background job counts as stored.
type syncFlag struct {
	mode  disk.SyncMode
	every time.Duration
}

func (s *syncFlag) String() string {
	switch s.mode {
	case disk.SyncInterval:
		return "interval=" + s.every.String()
	case disk.SyncNone:
		return "none"
	default:
		return "always"
	}
}

func (s *syncFlag) Set(text string) error {
	mode, every, err := disk.ParseSync(text)
	if number, ok := strings.CutPrefix(text, "interval="); err != nil && ok {
		if _, e := strconv.ParseFloat(number, 64); e == nil {
			return fmt.Errorf("%q has no unit: it must be a time such as interval=%sms", text, number)
		}
	}
	if err != nil {
		return fmt.Errorf("%q is unknown: it must be always, interval=TIME (more than 0, such as interval=10ms) or none", text)
	}
	s.mode, s.every = mode, every
	return nil
}

func (s *syncFlag) Type() string { return "when" }

// keeper is a store that background jobs are kept in.
type keeper interface {
	store.Store
	store.Settings
	Run() uint64
	Activity() disk.Activity
	Free() (int64, error)
}

// keeps reports whether background jobs outlive the process.
func (o *options) keeps() bool { return o.dataDir != "" || o.shared.url != "" }

// storeOption returns the option that says where jobs are stored, as messages name it.
func (o *options) storeOption() string {
	if o.dataDir != "" {
		return "--data-dir " + o.dataDir
	}
	return "--store " + o.shared.shown()
}

// openStore opens where jobs are stored, and takes over the jobs that are there.
func (p *process) openStore() error {
	begin := time.Now()
	opened, err := p.open()
	if err != nil {
		return fmt.Errorf("%s: %w", p.storeOption(), err)
	}
	p.store = opened
	if p.dataDir != "" {
		if err := p.restoreSettings(); err != nil {
			return fmt.Errorf("%s: %w", p.storeOption(), err)
		}
	}
	if p.side != nil {
		p.side.source.SetStore(opened)
		if p.dataDir != "" {
			if err := p.side.actions.Save(); err != nil { // what was set before there was a store
				p.log.Error("the settings of functions can't be stored", "error", err)
			}
		}
	}
	p.scheduler.Keep(opened)
	if err := opened.Start(p.server); err != nil {
		return fmt.Errorf("%s: %w", p.storeOption(), err)
	}
	if p.side != nil {
		p.side.source.SetLoaded(time.Since(begin))
	}
	if p.dataDir == "" {
		var ctx context.Context
		ctx, p.unwatch = context.WithCancel(context.Background())
		go p.watchUnattended(ctx)
		p.log.Info("background jobs are stored", "database", p.shared.shown(), "node", p.shared.node, "run", opened.Run())
		return nil
	}
	p.log.Info("background jobs are stored", "directory", p.dataDir, "sync", p.sync.String(), "restored", opened.Stats().Jobs,
		"run", opened.Run(), "took", time.Since(begin).Round(time.Millisecond))
	if !p.scheduler.HasRoom() {
		p.log.Warn("the restored jobs take more memory than --max-memory leaves to jobs: submissions are refused until "+
			"workers have done enough of them", "used", p.scheduler.Count().Memory, "max_memory", p.memoryLimit)
	}
	return nil
}

func (p *process) open() (keeper, error) {
	if p.dataDir == "" {
		return p.openShared()
	}
	dir, err := filepath.Abs(p.dataDir) // a process in the background goes to another directory
	if err != nil {
		return nil, err
	}
	return disk.Open(disk.Options{
		Dir: dir, Sync: p.sync.mode, Interval: p.sync.every, Fault: p.logFault,
		MaxQueued: min(p.queueLimit, 256<<20),
	})
}

// closeStore stores what is still queued.
func (p *process) closeStore() error {
	if p.store == nil {
		return nil
	}
	if p.unwatch != nil {
		p.unwatch()
	}
	err := p.store.Close()
	p.peers.Close()
	p.store = nil
	if err != nil {
		return fmt.Errorf("%s: %w", p.storeOption(), err)
	}
	return nil
}

// logFault logs a fault that the store reports.
func (p *process) logFault(err error) {
	switch {
	case err == nil:
		p.log.Warn("background jobs are stored again")
	case errors.Is(err, store.ErrFailed):
		p.log.Error("background jobs can't be stored and are refused; foreground jobs go on", "error", err)
	default:
		p.log.Error("the store has a fault", "error", err)
	}
}

// restoreSettings restores the functions' settings from before the restart.
func (p *process) restoreSettings() (err error) {
	document, err := p.store.LoadSettings()
	if err != nil || document == nil {
		return err
	}
	p.server.Act(func(now time.Time, fx *sched.Effects) { err = p.scheduler.RestoreSettings(document, now, fx) })
	if err != nil {
		return fmt.Errorf("%s: %w; move the file away to start with all functions open and none paused",
			filepath.Join(p.dataDir, disk.SettingsName), err)
	}
	return nil
}

// maxJobRetries is the largest --job-retries that a job can count.
const maxJobRetries = math.MaxUint16

// lossesAllowed returns --job-retries; 0 = no limit. -1 means that too: in the C server it is the largest
// number.
func (o *options) lossesAllowed() int {
	if o.jobRetries > maxJobRetries {
		return 0
	}
	return int(o.jobRetries)
}
