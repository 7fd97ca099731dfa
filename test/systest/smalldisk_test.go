package systest

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"gearloop/test/peers"
	"gearloop/test/wire"
)

// disk is a small file system, mounted so that only processes started for it see it.
type disk struct {
	t      *testing.T
	holder int    // process that holds the mount
	at     string // for processes that see it
	user   bool   // also in a user namespace
}

// newDisk mounts a file system; the test is skipped if this needs root.
func newDisk(t *testing.T, size string) *disk {
	t.Helper()
	d := &disk{t: t, at: t.TempDir(), user: os.Geteuid() != 0}
	args := []string{"--mount"}
	if d.user {
		args = append(args, "--user", "--map-root-user")
	}
	args = append(args, "sh", "-c", `mount -t tmpfs -o size="$1" none "$2" && echo mounted && exec cat`, "sh", size, d.at)
	cmd := command("unshare", nil, args...)
	in, out, err := os.Pipe() // cat reads until the test ends
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	cmd.Stdin = in
	p := launch(t, cmd)
	in.Close()
	wire.Await(t, "it is mounted, or not", func() bool { return p.stdout.String() != "" || p.isDone() })
	if p.isDone() {
		if !d.user {
			t.Fatalf("mounting: %s", p.stderr.String())
		}
		t.Skipf("no rights to mount a file system: %s", p.stderr.String())
	}
	d.holder = cmd.Process.Pid
	return d
}

// path returns a path on the disk for the test itself.
func (d *disk) path(name string) string {
	return filepath.Join("/proc", strconv.Itoa(d.holder), "root", d.at, name)
}

// launch starts a server whose directory is on the disk.
func (d *disk) launch(dialect string, options ...string) (p *program, addr string) {
	d.t.Helper()
	args := []string{"--mount", "--target", strconv.Itoa(d.holder)}
	if d.user {
		args = append(args, "--user", "--preserve-credentials")
	}
	args = append(args, peers.Binary(d.t), "serve", "--dialect", dialect, "--listen", "127.0.0.1:0",
		"--data-dir", filepath.Join(d.at, "data"))
	p = launch(d.t, command("nsenter", nil, append(args, options...)...))
	return p, listening(d.t, p)
}

// exhaust fills the disk, free empties it.
func (d *disk) exhaust() {
	d.t.Helper()
	f, err := os.Create(d.path("filler"))
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	for piece := bytes.Repeat([]byte("x"), 64<<10); len(piece) > 0; {
		if _, err := f.Write(piece); err != nil {
			piece = piece[:len(piece)/2]
		}
	}
}

func (d *disk) free() {
	d.t.Helper()
	if err := os.Remove(d.path("filler")); err != nil {
		d.t.Fatal(err)
	}
}
