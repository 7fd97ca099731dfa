package difftest

import (
	"os"
	"strings"
)

// deviationIDs returns the ids of the deviations in a document: its headings of the third level.
func deviationIDs(path string) (map[string]bool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	for _, l := range strings.Split(string(text), "\n") {
		if id, ok := strings.CutPrefix(l, "### "); ok {
			ids[strings.TrimSpace(id)] = true
		}
	}
	return ids, nil
}
