package main

import (
	"errors"
	"fmt"
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

// openStore opens the directory of --data-dir and loads its jobs.
func (p *process) openStore() error {
	begin := time.Now()
	dir, err := filepath.Abs(p.dataDir) // a process in the background changes its directory
	if err != nil {
		return fmt.Errorf("--data-dir %s: %w", p.dataDir, err)
	}
	disk, err := disk.Open(disk.Options{
		Dir: dir, Sync: p.sync.mode, Interval: p.sync.every, Fault: p.logFault,
		MaxQueued: min(p.queueLimit, 256<<20),
	})
	if err != nil {
		return fmt.Errorf("--data-dir %s: %w", p.dataDir, err)
	}
	p.disk = disk
	if err := p.restoreSettings(); err != nil {
		return fmt.Errorf("--data-dir %s: %w", p.dataDir, err)
	}
	if p.side != nil {
		p.side.source.SetStore(disk)
		if err := p.side.actions.Save(); err != nil { // what was set before there was a store
			p.log.Error("what is set on functions can't be stored", "error", err)
		}
	}
	p.scheduler.Keep(disk)
	if err := disk.Start(p.server); err != nil {
		return fmt.Errorf("--data-dir %s: %w", p.dataDir, err)
	}
	if p.side != nil {
		p.side.source.SetLoaded(time.Since(begin))
	}
	p.log.Info("background jobs are stored", "directory", p.dataDir, "sync", p.sync.String(), "restored", disk.Stats().Jobs,
		"run", disk.Run(), "took", time.Since(begin).Round(time.Millisecond))
	if !p.scheduler.HasRoom() {
		p.log.Warn("the restored jobs take more memory than --max-memory leaves to jobs: submissions are refused until "+
			"workers have done enough of them", "used", p.scheduler.Count().Memory, "max_memory", p.memoryLimit)
	}
	return nil
}

// closeStore stores what is still queued, and closes the store.
func (p *process) closeStore() error {
	if p.disk == nil {
		return nil
	}
	err := p.disk.Close()
	p.disk = nil
	if err != nil {
		return fmt.Errorf("--data-dir %s: %w", p.dataDir, err)
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
	document, err := p.disk.LoadSettings()
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
