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

// Top shows a server in a terminal until the user quits or ctx ends.
func Top(ctx context.Context, s Source, in, out *os.File, every time.Duration) error {
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
	look := func() { go func() { found <- look(ctx, s) }() }
	look()
	v := &screen{source: s}
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
			if v.err = r.err; r.err == nil && !v.paused {
				v.before, v.now = v.now, r.snapshot
			}
			next.Reset(every)
		case <-next.C:
			look()
		case <-resized:
		}
	}
	return nil
}

// result is one answer of a server.
type result struct {
	*snapshot
	err error
}

// look asks a server for everything that a screen shows.
func look(ctx context.Context, s Source) result {
	shot := &snapshot{at: time.Now()}
	var err error
	if shot.server, err = s.Server(ctx); err != nil {
		return result{err: err}
	}
	if shot.functions, err = s.Functions(ctx, ""); err != nil {
		return result{err: err}
	}
	if shot.workers, err = s.Connections(ctx, true); err != nil {
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
	r := look(ctx, s)
	if r.err != nil {
		return r.err
	}
	v := &screen{source: s, now: r.snapshot, filter: filter}
	for _, part := range [][]string{v.head(), v.table()} {
		for _, line := range part {
			if _, err := fmt.Fprintln(out, line); err != nil {
				return err
			}
		}
	}
	return nil
}
