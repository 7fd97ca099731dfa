package monitor

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"
)

// Top shows a server in a terminal until the user quits or ctx ends. With colour, warnings are yellow.
func Top(ctx context.Context, s Source, in, out *os.File, every time.Duration, filter string, colour bool) error {
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return fmt.Errorf("standard input is no terminal (--batch prints once): %w", err)
	}
	// Switch to the alternate screen without a cursor; the end restores the previous one.
	fmt.Fprint(out, "\x1b[?1049h\x1b[?25l")
	defer func() {
		fmt.Fprint(out, "\x1b[?25h\x1b[?1049l")
		term.Restore(int(in.Fd()), before)
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	defer signal.Stop(resized)

	keys := make(chan []byte)
	go readKeys(ctx, in, keys)
	found := make(chan result, 1)
	looking := false
	v := &screen{source: s, filter: filter, colour: colour}
	look := func() {
		looking = true
		q := v.query()
		go func() { found <- look(ctx, s, q) }()
	}
	look()
	next := time.NewTimer(every)
	next.Stop()
	for !v.ended {
		draw(out, v)
		select {
		case <-ctx.Done():
			return nil
		case b, ok := <-keys:
			if !ok {
				return nil
			}
			v.key(b)
		case r := <-found:
			looking = false
			v.found(r)
			next.Reset(every)
		case <-next.C:
			look()
		case <-resized:
		}
		// Show another view, order or filter at once.
		if !looking && v.now != nil && v.now.query != v.query() {
			next.Stop()
			look()
		}
	}
	return nil
}

// found handles an answer. While the screen is paused it shows only what was not seen before.
func (s *screen) found(r result) {
	s.err = r.err
	switch {
	case r.err != nil:
		if s.now != nil && s.now.query != s.query() {
			s.now.query = s.query() // queried again with the next look, not at once
		}
	case s.now == nil || !s.paused || s.now.query != r.query:
		s.before = nil
		if s.now != nil && s.now.query.view == r.query.view {
			s.before = s.now
		}
		s.now = r.snapshot
	}
}

// result is one answer of a server.
type result struct {
	*snapshot
	err error
}

// look asks a server for the content of a screen.
func look(ctx context.Context, s Source, q TopQuery) result {
	shot, err := s.Top(ctx, q)
	if err != nil {
		return result{err: err}
	}
	return result{snapshot: shot}
}

// readKeys sends what is typed, a key at a time.
func readKeys(ctx context.Context, in io.Reader, keys chan<- []byte) {
	defer close(keys)
	for {
		b := make([]byte, 64)
		n, err := in.Read(b)
		if err != nil {
			return
		}
		for _, key := range splitKeys(b[:n]) {
			select {
			case keys <- key:
			case <-ctx.Done():
				return
			}
		}
	}
}

// splitKeys splits input that arrived together: an escape sequence is one key, anything else a key per
// character.
func splitKeys(b []byte) (keys [][]byte) {
	for len(b) > 0 {
		n := 1
		switch {
		case b[0] == 0x1b && len(b) > 2 && b[1] == '[':
			for n = 2; n < len(b) && (b[n] < 0x40 || b[n] > 0x7e); n++ {
			}
			n = min(n+1, len(b))
		case b[0] >= 0x80:
			for n < len(b) && b[n]&0xc0 == 0x80 {
				n++
			}
		}
		keys, b = append(keys, b[:n]), b[n:]
	}
	return keys
}

// draw writes the screen with one write, so that it does not flicker.
func draw(out *os.File, v *screen) {
	width, height, err := term.GetSize(int(out.Fd()))
	if err != nil || width < 1 || height < 1 {
		width, height = 80, 24
	}
	var b strings.Builder
	b.WriteString("\x1b[H")
	for i, line := range v.lines(width, height) {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(line)
		b.WriteString("\x1b[K")
	}
	b.WriteString("\x1b[J")
	io.WriteString(out, b.String())
}

// Batch writes the content of Top once.
func Batch(ctx context.Context, s Source, out io.Writer, filter string) error {
	v := &screen{source: s, filter: filter}
	r := look(ctx, s, v.query())
	if r.err != nil {
		return r.err
	}
	v.now = r.snapshot
	for _, part := range [][]string{v.head(), v.table()} {
		for _, line := range part {
			if _, err := fmt.Fprintln(out, line); err != nil {
				return err
			}
		}
	}
	return nil
}
