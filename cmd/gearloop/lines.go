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

// Bounds of the log's queue for a slow reader.
const (
	// linesRoom is the size of the queue in bytes. Lines beyond it are dropped and counted.
	linesRoom = 1 << 20
	// linesSpare is the part reserved for warnings and errors.
	linesSpare = linesRoom / 4
	// writeAtOnce is the size of one write, in bytes: a pipe writes so much atomically (PIPE_BUF), so that lines
	// of several programs are not mixed.
	writeAtOnce = 4096
	// flushLimit is how long the ending process waits for readers of its output.
	flushLimit = 2 * time.Second
)

// line is a line of text including its end, and its level.
type line struct {
	level   slog.Level
	text    []byte
	dropped int // number of dropped lines that this line reports
}

// lines is a queue in front of output that may block, such as a pipe that nobody reads. put never blocks. A
// goroutine writes while there are lines.
type lines struct {
	write func([]line) (written int, err error) // called by one goroutine at a time

	mu      sync.Mutex
	gap     func(dropped int) []byte // returns a line that reports dropped lines; nil reports nothing
	queue   []line
	size    int             // bytes in queue
	failed  int             // lines before those in queue that could not be written
	dropped int             // lines behind those in queue that found no room
	writing bool            // the goroutine is running
	flushed []chan struct{} // closed when the queue is empty
}

// put queues a line, whose text must not be changed afterwards.
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

// run writes queued lines until there are none.
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

// drain returns all queued lines, with the numbers of lines that are missing before and behind them; nil if
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

// flush waits until everything queued so far is written, or ctx ends.
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

// setGap changes how dropped lines are reported.
func (q *lines) setGap(gap func(int) []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.gap = gap
}

// writeTo returns a function for lines.write that writes to the result of w, combining short lines.
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

// writePiece writes a piece; if the file was closed meanwhile, to the one that replaced it.
func writePiece(w func() io.Writer, piece []byte) error {
	for {
		to := w()
		if _, err := to.Write(piece); !errors.Is(err, os.ErrClosed) || w() == to {
			return err
		}
	}
}

// outputs are all queues to flush at the end of the process.
var outputs = []*lines{console}

// flushOutputs waits until the queues are written, at most flushLimit.
func flushOutputs() {
	ctx, cancel := context.WithTimeout(context.Background(), flushLimit)
	defer cancel()
	for _, q := range outputs {
		q.flush(ctx)
	}
}
