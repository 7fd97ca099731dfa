package clienttest

import (
	"encoding/json"
	"os"
	"testing"
)

// Each npm package that the tests run has a version and a checksum in the lock file, which names no registry: any mirror
// will do, and none can put something else in its place.
func TestLockFile(t *testing.T) {
	text, err := os.ReadFile("testdata/node/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	var lock struct {
		Packages map[string]struct{ Version, Integrity, Resolved string }
	}
	if err := json.Unmarshal(text, &lock); err != nil {
		t.Fatal(err)
	}
	if len(lock.Packages) < 10 {
		t.Errorf("%d packages", len(lock.Packages))
	}
	for name, p := range lock.Packages {
		if name != "" && (p.Version == "" || p.Integrity == "") || p.Resolved != "" {
			t.Errorf("%s: version %q, integrity %q, resolved %q", name, p.Version, p.Integrity, p.Resolved)
		}
	}
}
