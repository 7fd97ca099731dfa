package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Bounds of what waits for a slow reader of the log.
const (
	// linesRoom is how much may wait, in bytes. Lines that find no room are dropped and counted.
	linesRoom = 1 << 20
	// linesSpare is the part of it that is kept for warnings and errors.
	linesSpare = linesRoom / 4
	// writeAtOnce is how much is written together, in bytes: a pipe takes so much in one piece (PIPE_BUF), so
	// that lines of several programs are not mixed.
	writeAtOnce = 4096
	// flushLimit is how long the end of the process waits for readers to take what is queued.
	flushLimit = 2 * time.Second
)

// line is a line of text with its end, and the level that it was logged at.
type line struct {
	level   slog.Level
	text    []byte
	dropped int // lines that this one stands for, if it says that they were dropped
}

// lines is a queue of lines in front of something that may block, such as a pipe that nobody reads. put never
// blocks. While there are lines a goroutine writes them.
type lines struct {
	write func([]line) (written int, err error) // called by one goroutine at a time

	mu      sync.Mutex
	gap     func(dropped int) []byte // returns a line that says so; nil says nothing
	queue   []line
	size    int             // bytes in queue
	failed  int             // lines that could not be written and came before those in queue
	dropped int             // lines that found no room behind those in queue
	writing bool            // there is a goroutine
	flushed []chan struct{} // closed when nothing is left
}

// put queues a line. Its text must not be changed any more.
func (q *lines) put(l line) {
	q.mu.Lock()
	defer q.mu.Unlock()
	room := linesRoom
	if l.level < slog.LevelWarn {
		room -= linesSpare
	}
	if q.size+len(l.text) > room {
		q.dropped++
		return
	}
	q.queue = append(q.queue, l)
	q.size += len(l.text)
	if !q.writing {
		q.writing = true
		go q.run()
	}
}

// run writes what is queued, until nothing is.
func (q *lines) run() {
	for {
		batch := q.drain()
		if batch == nil {
			return
		}
		written, err := q.write(batch)
		if err == nil {
			continue
		}
		q.mu.Lock()
		for _, l := range batch[written:] {
			q.failed += max(1, l.dropped)
		}
		q.mu.Unlock()
	}
}

// drain returns everything that is queued, with the numbers of lines that are missing before and behind it; nil if
// nothing is queued.
func (q *lines) drain() []line {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) == 0 {
		q.writing = false
		for _, done := range q.flushed {
			close(done)
		}
		q.flushed = nil
		return nil
	}
	batch := q.queue
	if q.failed > 0 && q.gap != nil {
		batch = append([]line{{slog.LevelWarn, q.gap(q.failed), q.failed}}, batch...)
	}
	if q.dropped > 0 && q.gap != nil {
		batch = append(batch, line{slog.LevelWarn, q.gap(q.dropped), q.dropped})
	}
	q.queue, q.size, q.failed, q.dropped = nil, 0, 0, 0
	return batch
}

// flush waits until everything that is queued was written, but not after the context has ended.
func (q *lines) flush(ctx context.Context) {
	q.mu.Lock()
	if !q.writing {
		q.mu.Unlock()
		return
	}
	done := make(chan struct{})
	q.flushed = append(q.flushed, done)
	q.mu.Unlock()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// Write queues text that is not from the log: warnings about options, and why the program ends.
func (q *lines) Write(text []byte) (int, error) {
	q.put(line{level: slog.LevelError, text: append([]byte(nil), text...)})
	return len(text), nil
}

// setGap changes how the queue tells of lines that were dropped.
func (q *lines) setGap(gap func(int) []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.gap = gap
}

// writeTo returns a function for lines.write that writes to what w returns, short lines together.
func writeTo(w func() io.Writer) func([]line) (int, error) {
	return func(batch []line) (written int, err error) {
		var piece []byte
		for i, l := range batch {
			piece = append(piece, l.text...)
			if i+1 < len(batch) && len(piece)+len(batch[i+1].text) <= writeAtOnce {
				continue
			}
			if err := writePiece(w, piece); err != nil {
				return written, err
			}
			written, piece = i+1, piece[:0]
		}
		return written, nil
	}
}

// writePiece writes a piece, to the file that has come in the place of another one if that was closed meanwhile.
func writePiece(w func() io.Writer, piece []byte) error {
	for {
		to := w()
		if _, err := to.Write(piece); !errors.Is(err, os.ErrClosed) || w() == to {
			return err
		}
	}
}

// outputs are all queues that are flushed when the process ends.
var outputs = []*lines{console}

// flushOutputs waits until the queues were written, as far as their readers take it within flushLimit.
func flushOutputs() {
	ctx, cancel := context.WithTimeout(context.Background(), flushLimit)
	defer cancel()
	for _, q := range outputs {
		q.flush(ctx)
	}
}
