package clienttest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Each npm package that the tests run has a version and a checksum in the lock file, which names no registry:
// any mirror will do, and none can put something else in its place.
func TestLockFile(t *testing.T) {
	files, err := filepath.Glob("../*/testdata/*/package-lock.json")
	if err != nil || len(files) < 2 {
		t.Fatalf("lock files %q, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var lock struct {
			Packages map[string]struct{ Version, Integrity, Resolved string }
		}
		if err := json.Unmarshal(text, &lock); err != nil {
			t.Fatal(err)
		}
		if len(lock.Packages) < 2 {
			t.Errorf("%s: %d packages", file, len(lock.Packages))
		}
		for name, p := range lock.Packages {
			if name != "" && (p.Version == "" || p.Integrity == "") || p.Resolved != "" {
				t.Errorf("%s: %s: version %q, integrity %q, resolved %q", file, name, p.Version, p.Integrity, p.Resolved)
			}
		}
	}
}
