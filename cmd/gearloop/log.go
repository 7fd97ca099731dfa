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
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// console is standard error, which may be a pipe that nobody reads. All of the program's output there goes
// through it.
var console = &lines{write: writeTo(func() io.Writer { return os.Stderr }), gap: gapIn("text")}

// logFile is the destination of the log: standard error, or a file that can be reopened for log rotation.
type logFile struct {
	path string // absolute; "" = standard error
	own  *lines // for the file

	mu   sync.Mutex
	file *os.File // nil: standard error
}

// newLogFile returns a log in a format. It writes to standard error until open is called.
func newLogFile(path, format string) (*logFile, error) {
	if path != "" {
		var err error
		if path, err = filepath.Abs(path); err != nil {
			return nil, fmt.Errorf("log file: %w", err)
		}
	}
	console.setGap(gapIn(format))
	l := &logFile{path: path}
	l.own = &lines{write: writeTo(func() io.Writer { return l.current() }), gap: gapIn(format)}
	outputs = append(outputs, l.own)
	return l, nil
}

func (l *logFile) current() *os.File {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file
}

// put queues a line for the file, or for standard error while there is none.
func (l *logFile) put(text line) {
	if l.current() == nil {
		console.put(text)
		return
	}
	l.own.put(text)
}

// open opens or reopens the file. If that fails the log continues where it was.
func (l *logFile) open() error {
	if l.path == "" {
		return nil
	}
	f, err := openLog(l.path)
	if err != nil {
		return fmt.Errorf("log file %s: %w", l.path, fileFault(err))
	}
	// Output of a crash goes there as well, because in the background nobody sees it.
	if l.path != os.DevNull {
		debug.SetCrashOutput(f, debug.CrashOptions{})
	}
	l.mu.Lock()
	old := l.file
	l.file = f
	l.mu.Unlock()
	if old != nil {
		old.Close()
	}
	return nil
}

// newLog returns a logger for file and, if requested, syslog.
func newLog(o *options, file *logFile) *slog.Logger {
	var handler slog.Handler = queued(file.put, func(w io.Writer) slog.Handler {
		return handlerIn(o.logFormat, w, o.logLevel.Level)
	})
	if o.syslog {
		handler = slog.NewMultiHandler(handler, newSyslog("", "", o.logLevel.Level))
	}
	return slog.New(handler)
}

// handlerIn returns a handler that writes lines in a format.
func handlerIn(format string, w io.Writer, level slog.Level) slog.Handler {
	settings := &slog.HandlerOptions{Level: level, ReplaceAttr: nameLevel}
	if format == "json" {
		return slog.NewJSONHandler(w, settings)
	}
	return slog.NewTextHandler(w, settings)
}

// nameLevel gives the levels that slog calls INFO+2 and ERROR+1 the C server's names.
func nameLevel(groups []string, a slog.Attr) slog.Attr {
	if level, ok := a.Value.Any().(slog.Level); ok && len(groups) == 0 && a.Key == slog.LevelKey &&
		strings.Contains(level.String(), "+") {
		a.Value = slog.StringValue(levelName(level))
	}
	return a
}

// gapIn returns a function for lines.gap, for a log in this format.
func gapIn(format string) func(int) []byte {
	return gapOf(func(w io.Writer) slog.Handler { return handlerIn(format, w, slog.LevelDebug) })
}

// gapOf returns a function for lines.gap, for lines in the format of make's handler.
func gapOf(make func(io.Writer) slog.Handler) func(int) []byte {
	return func(dropped int) []byte {
		const text = "lines of the log were dropped: they came faster than they were taken"
		r := slog.NewRecord(time.Now(), slog.LevelWarn, text, 0)
		r.Add("lines", dropped)
		var b bytes.Buffer
		make(&b).Handle(context.Background(), r)
		return b.Bytes()
	}
}

// queuedHandler makes another handler write a line into a buffer, and queues it.
type queuedHandler struct {
	slog.Handler
	to *lineBuffer
}

// lineBuffer is the line being written, and its destination.
type lineBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
	put    func(line)
}

// queued returns a handler that formats lines like make's handler and passes them to put.
func queued(put func(line), make func(io.Writer) slog.Handler) *queuedHandler {
	to := &lineBuffer{put: put}
	return &queuedHandler{make(&to.buffer), to}
}

func (h *queuedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &queuedHandler{h.Handler.WithAttrs(attrs), h.to}
}

func (h *queuedHandler) WithGroup(name string) slog.Handler {
	return &queuedHandler{h.Handler.WithGroup(name), h.to}
}

func (h *queuedHandler) Handle(ctx context.Context, r slog.Record) error {
	h.to.mu.Lock()
	defer h.to.mu.Unlock()
	h.to.buffer.Reset()
	if err := h.Handler.Handle(ctx, r); err != nil {
		return err
	}
	h.to.put(line{level: r.Level, text: bytes.Clone(h.to.buffer.Bytes())})
	return nil
}

// newSyslog returns a handler that sends lines to syslog, which adds time and name. network and address are
// as in syslog.Dial. A line that cannot be sent is dropped, and the next one tries again.
func newSyslog(network, address string, level slog.Level) slog.Handler {
	s := &syslogSender{network: network, address: address}
	format := func(w io.Writer) slog.Handler {
		return slog.NewTextHandler(w, &slog.HandlerOptions{
			Level: level,
			ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
				if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
					return slog.Attr{}
				}
				return a
			},
		})
	}
	queue := &lines{write: s.write, gap: gapOf(format)}
	outputs = append(outputs, queue)
	return queued(queue.put, format)
}

// syslogSender is the connection to syslog.
type syslogSender struct {
	network, address string
	daemon           *syslog.Writer // nil: not connected
}

// write sends lines.
func (s *syslogSender) write(batch []line) (sent int, err error) {
	if s.daemon == nil {
		if s.daemon, err = syslog.Dial(s.network, s.address, syslog.LOG_USER|syslog.LOG_INFO, nameOfC); err != nil {
			return 0, err
		}
	}
	for i, l := range batch {
		if err := s.send(l.level, string(l.text)); err != nil {
			return i, err
		}
	}
	return len(batch), nil
}

func (s *syslogSender) send(level slog.Level, text string) error {
	switch {
	case level >= slog.LevelError:
		return s.daemon.Err(text)
	case level >= slog.LevelWarn:
		return s.daemon.Warning(text)
	case level >= levelNotice:
		return s.daemon.Notice(text)
	case level >= slog.LevelInfo:
		return s.daemon.Info(text)
	}
	return s.daemon.Debug(text)
}

// warnOfRotation warns if the user that the server has become cannot create a new log file: after a rotation
// the log would continue in the old file.
func (p *process) warnOfRotation() {
	file := p.file.current()
	if p.account == nil || file == nil {
		return
	}
	dir := filepath.Dir(p.file.path)
	info, err := file.Stat()
	if err == nil && info.Mode().IsRegular() && unix.Access(dir, unix.W_OK|unix.X_OK) != nil {
		p.log.Warn("the user cannot make files in the directory of the log: SIGHUP will not open a new one after it was "+
			"moved; have logrotate copy it (copytruncate) or make the new one (create)", "user", p.account.name, "directory", dir)
	}
}
