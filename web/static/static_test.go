package static

import "testing"

// A page loads all files once, so they must stay small.
func TestSize(t *testing.T) {
	n := 0
	for name, a := range assets() {
		if name == a.name {
			n += len(a.compressed)
		}
	}
	if n == 0 || n > 100<<10 {
		t.Errorf("all files take %d bytes, compressed", n)
	}
}
