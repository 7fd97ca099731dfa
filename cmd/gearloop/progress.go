package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progressEvery is how often a line of progress is rewritten.
const progressEvery = 200 * time.Millisecond

// progress is a line on a terminal that shows the progress of long work. It is silent elsewhere.
type progress struct {
	to io.Writer // nil: not a terminal

	mu   sync.Mutex
	last time.Time
	on   bool // a line is visible
}

// newProgress returns the progress for a stream, usually standard error.
func newProgress(stream io.Writer) *progress {
	if !isTerminal(stream) {
		return &progress{}
	}
	return &progress{to: stream}
}

// show rewrites the line, at most every progressEvery.
func (p *progress) show(format string, args ...any) {
	if p.to == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.last) >= progressEvery {
		fmt.Fprintf(p.to, "\r"+format+"\x1b[K", args...)
		p.last, p.on = now, true
	}
}

// end removes the line.
func (p *progress) end() {
	if p.to == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.on {
		fmt.Fprint(p.to, "\r\x1b[K")
		p.on = false
	}
}
