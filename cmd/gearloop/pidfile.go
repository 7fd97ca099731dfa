package main

import (
	"fmt"
	"os"
)

// writePidfile writes the process id, whole or not at all.
func writePidfile(path string) error {
	if path == "" {
		return nil
	}
	temporary := path + ".new"
	err := os.WriteFile(temporary, fmt.Appendln(nil, os.Getpid()), 0o644)
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		os.Remove(temporary)
		return fmt.Errorf("pid file: %w", err)
	}
	return nil
}
