package store_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The contract imports the standard library only, and the scheduler imports no third-party package, so only
// programs that choose an engine depend on what it needs.
func TestImports(t *testing.T) {
	for of, allowed := range map[string][]string{
		"gearloop/store": {"gearloop/store"},
		"gearloop/sched": {"gearloop/sched", "gearloop/store", "gearloop/codec", "gearloop/internal/"},
	} {
		out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", of).Output()
		if err != nil {
			t.Fatal(err)
		}
		paths := strings.Fields(string(out))
		if !slices.Contains(paths, of) {
			t.Fatalf("%s imports %q: it is not among them itself", of, paths)
		}
		for _, path := range paths {
			if !slices.ContainsFunc(allowed, func(a string) bool { return path == a || strings.HasSuffix(a, "/") && strings.HasPrefix(path, a) }) {
				t.Errorf("%s needs %s, and may need %q only", of, path, allowed)
			}
		}
	}
}
