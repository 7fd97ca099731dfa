package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progressEvery is how often a line of progress is written anew.
const progressEvery = 200 * time.Millisecond

// progress is one line on a terminal that says how far long work has come. Elsewhere it is silent.
type progress struct {
	to io.Writer // nil: no terminal

	mu   sync.Mutex
	last time.Time
	on   bool // a line stands there
}

// newProgress returns the progress on a stream of the program, usually standard error.
func newProgress(stream io.Writer) *progress {
	if !isTerminal(stream) {
		return &progress{}
	}
	return &progress{to: stream}
}

// show writes the line anew, if that was not done a moment ago.
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

// end takes the line away.
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
