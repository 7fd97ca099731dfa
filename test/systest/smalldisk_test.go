package systest

import (
	"path/filepath"
	"testing"

	"gearloop/test/peers"
	"gearloop/test/smalldisk"
)

// disk is a small file system for servers.
type disk struct {
	*smalldisk.Disk
	t *testing.T
}

func newDisk(t *testing.T, size string) *disk {
	t.Helper()
	return &disk{smalldisk.Mount(t, t.TempDir(), size, ""), t}
}

// launch starts a server whose directory is on the disk.
func (d *disk) launch(dialect string, options ...string) (p *program, addr string) {
	d.t.Helper()
	words := append(d.Wrap(), peers.Binary(d.t), "serve", "--dialect", dialect, "--listen", "127.0.0.1:0",
		"--data-dir", filepath.Join(d.At, "data"))
	p = launch(d.t, command(words[0], nil, append(words[1:], options...)...))
	return p, listening(d.t, p)
}
