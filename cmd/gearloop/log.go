package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"log/syslog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
)

// logFile is where the log goes: standard error, or a file that can be opened anew, for programs
// that rotate it.
type logFile struct {
	mu   sync.Mutex
	path string // absolute; "" for standard error
	file *os.File
}

// newLogFile returns a log that goes to standard error until open is called.
func newLogFile(path string) (*logFile, error) {
	if path != "" {
		var err error
		if path, err = filepath.Abs(path); err != nil {
			return nil, fmt.Errorf("log file: %w", err)
		}
	}
	return &logFile{path: path, file: os.Stderr}, nil
}

// open opens the file, anew if it is open. If that fails the log goes on where it went.
func (l *logFile) open() error {
	if l.path == "" {
		return nil
	}
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("log file: %w", err)
	}
	// What a crash has to say goes there, too: in the background there is nobody to hear it.
	if l.path != os.DevNull {
		debug.SetCrashOutput(f, debug.CrashOptions{})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != os.Stderr {
		l.file.Close()
	}
	l.file = f
	return nil
}

func (l *logFile) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Write(line)
}

// newLog returns a log that goes to file and, if asked for, to syslog.
func newLog(o *options, file io.Writer) *slog.Logger {
	settings := &slog.HandlerOptions{Level: o.logLevel.Level}
	var handler slog.Handler = slog.NewTextHandler(file, settings)
	if o.logFormat == "json" {
		handler = slog.NewJSONHandler(file, settings)
	}
	if o.syslog {
		handler = slog.NewMultiHandler(handler, newSyslog("", "", o.logLevel.Level))
	}
	return slog.New(handler)
}

// syslogHandler sends log lines to syslog: the daemon adds time and name. A line that can't be sent
// is lost, and the next one tries anew.
type syslogHandler struct {
	slog.Handler // writes a line into buffer
	to           *syslogLine
}

// syslogLine is the line that is being written, and the connection that it goes to.
type syslogLine struct {
	mu               sync.Mutex
	buffer           bytes.Buffer
	network, address string // as syslog.Dial takes them
	daemon           *syslog.Writer
}

func newSyslog(network, address string, level slog.Level) *syslogHandler {
	to := &syslogLine{network: network, address: address}
	return &syslogHandler{to: to, Handler: slog.NewTextHandler(&to.buffer, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
				return slog.Attr{}
			}
			return a
		},
	})}
}

func (h *syslogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &syslogHandler{h.Handler.WithAttrs(attrs), h.to}
}

func (h *syslogHandler) WithGroup(name string) slog.Handler {
	return &syslogHandler{h.Handler.WithGroup(name), h.to}
}

func (h *syslogHandler) Handle(ctx context.Context, r slog.Record) error {
	h.to.mu.Lock()
	defer h.to.mu.Unlock()
	h.to.buffer.Reset()
	if err := h.Handler.Handle(ctx, r); err != nil {
		return err
	}
	return h.to.send(r.Level)
}

// send sends the line in the buffer.
func (s *syslogLine) send(level slog.Level) (err error) {
	if s.daemon == nil {
		s.daemon, err = syslog.Dial(s.network, s.address, syslog.LOG_USER|syslog.LOG_INFO, nameOfC)
		if err != nil {
			return err
		}
	}
	line := s.buffer.String()
	switch {
	case level >= slog.LevelError:
		return s.daemon.Err(line)
	case level >= slog.LevelWarn:
		return s.daemon.Warning(line)
	case level >= levelNotice:
		return s.daemon.Notice(line)
	case level >= slog.LevelInfo:
		return s.daemon.Info(line)
	}
	return s.daemon.Debug(line)
}
