package disk

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"gearloop/store"
)

var _ store.Settings = (*Disk)(nil)

// The last saved settings exist completely when the directory is opened again, whatever a crash left of newer
// ones.
func TestSettings(t *testing.T) {
	dir := t.TempDir()
	open := func() *Disk {
		d, err := Open(Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := open()
	if doc, err := d.LoadSettings(); doc != nil || err != nil {
		t.Errorf("of a new directory: %q, %v", doc, err)
	}
	for _, doc := range []string{"one", "a longer one", "2"} {
		if err := d.SaveSettings([]byte(doc)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.SaveSettings(make([]byte, store.MaxSettings+1)); err == nil {
		t.Error("one that is too large was taken")
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	torn := filepath.Join(dir, settingsNew)
	if err := os.WriteFile(torn, []byte("hal"), 0o600); err != nil {
		t.Fatal(err)
	}
	d = open()
	defer d.Close()
	if doc, err := d.LoadSettings(); err != nil || !bytes.Equal(doc, []byte("2")) {
		t.Errorf("after a restart: %q, %v", doc, err)
	}
}
