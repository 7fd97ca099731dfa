package main

import (
	"fmt"
	"os"
	"strings"
)

const (
	document = "BENCHMARKS.md"
	mark     = "<!-- bench/shared -->\n"
	markEnd  = "<!-- bench/shared ends -->"
)

// write puts text between the marks of the document.
func write(text string) error {
	content, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(content), mark)
	_, after, closed := strings.Cut(rest, markEnd)
	if !ok || !closed {
		return fmt.Errorf("%s has no place for it: the marks %q and %q", document, mark, markEnd)
	}
	return os.WriteFile(document, []byte(before+mark+text+markEnd+after), 0o644)
}
