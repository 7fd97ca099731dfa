package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// catchSignals queues the server's signals until handleSignals handles them.
func catchSignals() <-chan os.Signal {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1, syscall.SIGHUP)
	return signals
}

// signalName returns the name of a signal, such as SIGTERM.
func signalName(s os.Signal) string {
	if number, ok := s.(syscall.Signal); ok {
		return unix.SignalName(number)
	}
	return s.String()
}

// handleSignals handles signals: SIGUSR1 ends the server gracefully, SIGHUP reopens files, SIGTERM and SIGINT
// end it gracefully or at once, depending on the options, and always at once if it is ending already.
func (p *process) handleSignals() {
	// Opening files may block on a file system that does not answer; other signals must still be handled.
	hangups := make(chan struct{}, 1)
	go func() {
		for range hangups {
			_ = p.reload() // which has logged it
		}
	}()
	go func() {
		ending := false
		for s := range p.signals {
			switch {
			case s == syscall.SIGHUP:
				select {
				case hangups <- struct{}{}:
				default: // another reopening follows anyway
				}
			case s == syscall.SIGUSR1 || !ending && !p.endsAtOnce:
				p.log.Info("ending gracefully; another signal ends the server at once", "signal", signalName(s))
				ending = true
				p.server.Drain()
			case !ending:
				p.log.Info("ending", "signal", signalName(s))
				ending = true
				p.server.Shutdown()
			default:
				p.log.Info("ending at once", "signal", signalName(s))
				p.server.Abort()
			}
		}
	}()
}

// reloads is how often and how well files were read again.
type reloads struct {
	mu  sync.Mutex // also: one at a time
	at  time.Time  // of the last one; zero: there was none
	err error
}

// lastReload returns when files were read last, at the latest at the start, and whether all could be.
func (p *process) lastReload() (at time.Time, ok bool) {
	p.reloads.mu.Lock()
	defer p.reloads.mu.Unlock()
	if p.reloads.at.IsZero() {
		return p.started, true
	}
	return p.reloads.at, p.reloads.err == nil
}

// reload handles SIGHUP, and informs the service manager. The error says what could not be read again; the
// old version stays in use then.
func (p *process) reload() (err error) {
	p.report.reloading(func() {
		p.reloads.mu.Lock()
		defer p.reloads.mu.Unlock()
		err = p.reopen()
		p.reloads.at, p.reloads.err = time.Now(), err
	})
	return err
}

// reopen reopens the log file after rotation, and reads certificates, tokens and the access list again.
func (p *process) reopen() error {
	p.log.Log(context.Background(), levelNotice, "opening the log and reading files again", "signal", "SIGHUP")
	var failed []error
	fails := func(message string, err error) {
		p.log.Error(message, "error", err)
		failed = append(failed, fmt.Errorf("%s: %w", message, err))
	}
	if err := p.file.open(); err != nil {
		fails("cannot open the log file; the log still goes to the old one", err)
	}
	p.warnOfFile()
	if p.side != nil {
		if err := p.side.reload(); err != nil {
			fails("cannot read the tokens again; the old ones stay in use", err)
		}
	}
	if err := p.reloadACL(); err != nil {
		fails("cannot read the access list again; the old one stays in force", err)
	}
	if p.tlsFiles != nil {
		if err := p.tlsFiles.Reload(); err != nil {
			fails("cannot read the certificates again; the old ones stay in use", err)
		} else {
			p.warnOfTLS()
		}
	}
	return errors.Join(failed...)
}
