package main

import (
	"bytes"
	"fmt"
	"os"
)

// pidLine is the content of the pid file.
func pidLine() []byte { return fmt.Appendln(nil, os.Getpid()) }

// writePidfile writes the process id atomically. A reader may send a signal at once, so signals must be
// caught before.
func writePidfile(path string) error {
	if path == "" {
		return nil
	}
	if err := writeNew(path, pidLine()); err != nil {
		return fmt.Errorf("pid file %s: %w", path, fileFault(err))
	}
	return nil
}

// removePidfile removes the pid file, unless it contains another process id: that of a successor which was
// started while this server drained.
func removePidfile(path string) {
	if text, err := readPlain(path); err == nil && bytes.Equal(text, pidLine()) {
		os.Remove(path)
	}
}
