// Package texts has what tests need of texts: a buffer that several goroutines use, and files.
package texts

import (
	"bytes"
	"os"
	"sync"
	"testing"
)

// Buffer collects what is written to it, for example the output of a program that runs. All goroutines may
// use it. The zero value is empty.
type Buffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

// Write appends p. It returns no error.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

// String returns all that was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}

// File returns the content of a file. The test fails if that cannot be read.
func File(tb testing.TB, path string) string {
	tb.Helper()
	all, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return string(all)
}
