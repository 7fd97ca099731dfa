package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

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
			p.reload()
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

// reload handles SIGHUP, and informs the service manager.
func (p *process) reload() { p.report.reloading(p.reopen) }

// reopen reopens the log file after rotation, and reads certificates, tokens and the access list again.
func (p *process) reopen() {
	p.log.Log(context.Background(), levelNotice, "opening the log and reading files again", "signal", "SIGHUP")
	if err := p.file.open(); err != nil {
		p.log.Error("cannot open the log file; the log still goes to the old one", "error", err)
	}
	p.warnOfFile()
	if p.side != nil {
		if err := p.side.reload(); err != nil {
			p.log.Error("cannot read the tokens again; the old ones stay in use", "error", err)
		}
	}
	p.reloadACL()
	if p.tlsFiles == nil {
		return
	}
	if err := p.tlsFiles.Reload(); err != nil {
		p.log.Error("cannot read the certificates again; the old ones stay in use", "error", err)
		return
	}
	p.warnOfTLS()
}
