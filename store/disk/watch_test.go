package disk

import (
	"io"
	"strings"
	"testing"

	"gearloop/store/transfer"
)

// TestWatch: the watcher is told of about as many bytes as the directory has, including large arguments.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	line := `{"function":"f","argument":"` + strings.Repeat("x", 300<<10) + `"}` + "\n" // in a file of its own
	im, err := NewImporter(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	done, err := transfer.Import(strings.NewReader(strings.Repeat(line, 4)), im, func(err error) { t.Error(err) })
	if err != nil || done.Jobs != 4 {
		t.Fatal(done, err)
	}
	size := Size(dir)
	for name, read := range map[string]func(Watch) error{
		"check":  func(w Watch) error { _, err := Check(dir, w); return err },
		"dump":   func(w Watch) error { return Dump(dir, io.Discard, w) },
		"repair": func(w Watch) error { _, err := Repair(dir, w); return err },
	} {
		sum := 0
		if err := read(func(n int) { sum += n }); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if sum < 4*300<<10 || int64(sum) > 3*size {
			t.Errorf("%s tells of %d bytes, the directory has %d", name, sum, size)
		}
	}
}
