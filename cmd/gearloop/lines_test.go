package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gearloop/test/await"
)

// gate is a writer that blocks until it is opened.
type gate struct {
	open chan struct{}
	mu   sync.Mutex
	got  bytes.Buffer
}

func (g *gate) Write(p []byte) (int, error) {
	<-g.open
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.got.Write(p)
}

func queueTo(w io.Writer) *lines {
	return &lines{
		write: writeTo(func() io.Writer { return w }),
		gap:   func(dropped int) []byte { return fmt.Appendf(nil, "dropped %d\n", dropped) },
	}
}

// A reader that does not read blocks nobody. When it reads it gets the lines that found room, in order, and
// then the number of lines that did not. Warnings find room longer than other lines.
func TestLinesDoNotBlock(t *testing.T) {
	before := goleak.IgnoreCurrent()
	g := &gate{open: make(chan struct{})}
	q := queueTo(g)
	first := "the one that blocks\n"
	q.put(line{text: []byte(first)})
	await.Until(t, "the first line is taken", func() bool {
		q.mu.Lock()
		defer q.mu.Unlock()
		return len(q.queue) == 0
	})
	text := bytes.Repeat([]byte("x"), 1023)
	text = append(text, '\n')
	const fit, fitWarnings, more = (linesRoom - linesSpare) >> 10, linesSpare >> 10, 77
	for range fit + more {
		q.put(line{level: slog.LevelInfo, text: text})
	}
	for range fitWarnings + 1 {
		q.put(line{level: slog.LevelWarn, text: text})
	}
	nobodyReads, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	q.flush(nobodyReads) // has to come back
	close(g.open)
	q.flush(t.Context())
	want := first
	for range fit + fitWarnings {
		want += string(text)
	}
	want += fmt.Sprintf("dropped %d\n", more+1)
	if g.got.String() != want {
		t.Errorf("%d bytes were written, %d wanted; the end is %q", g.got.Len(), len(want), g.got.Bytes()[g.got.Len()-40:])
	}
	// There is room again, and the gap is reported once.
	q.put(line{text: []byte("after\n")})
	q.flush(t.Context())
	if got := g.got.String()[len(want):]; got != "after\n" {
		t.Errorf("then came %q", got)
	}
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}

// faulty fails while err is set.
type faulty struct {
	bytes.Buffer
	err error
}

func (f *faulty) Write(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.Buffer.Write(p)
}

// Lines that could not be written, for example to a full disk, are counted. The number is written before the
// next line, however often writing it failed.
func TestLinesThatFail(t *testing.T) {
	f := &faulty{err: os.ErrInvalid}
	q := queueTo(f)
	for range 5 {
		q.put(line{text: []byte("lost\n")})
		q.flush(t.Context())
	}
	f.err = nil
	q.put(line{text: []byte("written\n")})
	q.flush(t.Context())
	if got := f.String(); got != "dropped 5\nwritten\n" {
		t.Errorf("got %q", got)
	}
}

// Short lines are written together. No piece is longer than a pipe accepts at once, unless it is a single
// line.
func TestLinesTogether(t *testing.T) {
	var sizes []int
	write := writeTo(func() io.Writer { return writerFunc(func(p []byte) { sizes = append(sizes, len(p)) }) })
	var batch []line
	for _, n := range []int{1000, 2000, 1096, 1, 5000, 10, 4096} {
		batch = append(batch, line{text: make([]byte, n)})
	}
	if n, err := write(batch); n != len(batch) || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if got, want := fmt.Sprint(sizes), "[4096 1 5000 10 4096]"; got != want {
		t.Errorf("pieces of %s, want %s", got, want)
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}
