package main

import (
	"bytes"
	"fmt"
	"os"
)

// pidLine is what the pid file holds.
func pidLine() []byte { return fmt.Appendln(nil, os.Getpid()) }

// writePidfile writes the process id, whole or not at all. Whoever reads it may send a signal at once: signals
// have to be caught before.
func writePidfile(path string) error {
	if path == "" {
		return nil
	}
	if err := writeNew(path, pidLine()); err != nil {
		return fmt.Errorf("pid file %s: %w", path, fileFault(err))
	}
	return nil
}

// removePidfile removes the pid file, unless it holds another process id by now: that of a successor, which
// was started while this server waited for its last jobs.
func removePidfile(path string) {
	if text, err := readPlain(path); err == nil && bytes.Equal(text, pidLine()) {
		os.Remove(path)
	}
}
