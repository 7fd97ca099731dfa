package disk

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
)

// The document of settings is in a file of its own, which earlier versions of the program ignore.
const (
	// SettingsName is the name of that file.
	SettingsName = "SETTINGS"
	settingsNew  = SettingsName + newSuffix
)

// LoadSettings implements store.Settings. It may be called before Start.
func (d *Disk) LoadSettings() ([]byte, error) { return loadSettings(d.fs, d.opts.Dir) }

func loadSettings(fs vfs.FS, dir string) ([]byte, error) {
	f, err := fs.Open(fs.PathJoin(dir, SettingsName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, store.MaxSettings))
}

// SaveSettings implements store.Settings. It writes a new file and renames it over the old one.
func (d *Disk) SaveSettings(document []byte) error {
	if len(document) > store.MaxSettings {
		return fmt.Errorf("store: settings have %d bytes, the most is %d", len(document), store.MaxSettings)
	}
	f, err := d.fs.Create(d.path(settingsNew), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = wholeWrites{f}.Write(document)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = d.fs.Rename(d.path(settingsNew), d.path(SettingsName))
	}
	if err == nil {
		err = syncDir(d.fs, d.opts.Dir)
	}
	return err
}
