package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	document  = "BENCHMARKS.md"
	directory = "docs/bench"
)

// writeAgain writes what was measured before.
func writeAgain(file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var r results
	if err := json.Unmarshal(content, &r); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return r.write()
}

// write writes the tables into the document, and plots and figures beside it.
func (r *results) write() error {
	text, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	rewritten, err := replaceBlocks(string(text), r.blocks())
	if err != nil {
		return fmt.Errorf("%s: %w", document, err)
	}
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	for i := range r.Scenarios {
		if s := &r.Scenarios[i]; s.Name != "open" { // the others have no plot
			for k := range s.Servers {
				s.Servers[k].Distribution = nil
			}
		}
	}
	var figures bytes.Buffer
	e := json.NewEncoder(&figures)
	e.SetIndent("", " ")
	if err := e.Encode(r); err != nil {
		return err
	}
	files, err := r.plots()
	if err != nil {
		return err
	}
	files["results.json"] = figures.Bytes()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(directory, name), content, 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(document, []byte(rewritten), 0o644)
}

// replaceBlocks puts blocks between their marks:
//
//	<!-- measured: NAME -->
//	<!-- end -->
func replaceBlocks(text string, blocks map[string]string) (string, error) {
	const begin, end = "<!-- measured: ", "<!-- end -->"
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, begin)
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		name, rest, ok := strings.Cut(rest, " -->\n")
		_, after, closed := strings.Cut(rest, end)
		block, known := blocks[name]
		switch {
		case !ok || !closed:
			return "", fmt.Errorf("the mark %q has no end", begin+name)
		case !known:
			return "", fmt.Errorf("nothing is measured for the mark %q", name)
		}
		fmt.Fprintf(&out, "%s%s -->\n%s%s", begin, name, block, end)
		text = after
	}
}
