package disk

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// Only file systems that are known to sync with each direct write are trusted to: the others get fdatasync.
func TestKeepsDSYNC(t *testing.T) {
	for _, c := range []struct {
		name   string
		system uint32
		want   bool
	}{
		{"ext4", unix.EXT4_SUPER_MAGIC, true}, {"xfs", unix.XFS_SUPER_MAGIC, true},
		{"fuse", unix.FUSE_SUPER_MAGIC, false}, {"9p", unix.V9FS_MAGIC, false}, {"unknown", 0x12345678, false},
	} {
		if got := keepsDSYNC(c.system); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// What is asked is the file system of the file.
func TestOpenDurable(t *testing.T) {
	path := t.TempDir() + "/file"
	f, err := machine.Create(path, "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var system unix.Statfs_t
	if err := unix.Statfs(path, &system); err != nil {
		t.Fatal(err)
	}
	d, unit, err := openDurable(machine, path)
	if !keepsDSYNC(uint32(system.Type)) {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Fatalf("file system %x: %v", system.Type, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	w := &durableWrites{file: d, unit: int64(unit)}
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := w.put(); err != nil && !undurable(err) {
		t.Error(err)
	}
	if info, err := f.Stat(); err != nil || info.Size() > int64(unit) {
		t.Error(info, err)
	}
}
