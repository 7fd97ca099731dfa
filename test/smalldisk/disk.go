// Package smalldisk mounts small file systems for tests of full disks.
package smalldisk

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// Disk is a file system in memory. Only programs that are started with Wrap see it.
type Disk struct {
	At string // where these programs see it

	tb     testing.TB
	holder int  // process that holds the mount
	user   bool // also in a user namespace
}

// Mount mounts a file system of a size such as 24m at a directory, until the test ends. It belongs to owner,
// which only root can choose; "" is the current user. Without the rights to mount the test is skipped.
func Mount(tb testing.TB, at, size, owner string) *Disk {
	tb.Helper()
	d := &Disk{At: at, tb: tb, user: os.Geteuid() != 0}
	if d.user && owner != "" {
		tb.Skip("mounting a file system for another user needs root")
	}
	args := []string{"--mount"}
	if d.user {
		args = append(args, "--user", "--map-root-user")
	}
	const script = `mount -t tmpfs -o size="$1" none "$2" && { test -z "$3" || chown "$3" "$2"; } && echo mounted && exec cat`
	cmd := exec.Command("unshare", append(args, "sh", "-c", script, "sh", size, at, owner)...)
	in, out, err := os.Pipe() // cat reads until the test process closes it or ends
	if err != nil {
		tb.Fatal(err)
	}
	cmd.Stdin = in
	says, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	in.Close()
	tb.Cleanup(func() {
		out.Close()
		_ = cmd.Wait()
	})
	d.holder = cmd.Process.Pid
	if line, _ := bufio.NewReader(says).ReadString('\n'); line == "mounted\n" {
		return d
	}
	_ = cmd.Wait()
	if !d.user {
		tb.Fatalf("mounting: %s", &complaint)
	}
	tb.Skipf("no rights to mount a file system: %s", &complaint)
	return nil
}

// Wrap returns the words to put before a command so that it sees the disk.
func (d *Disk) Wrap() []string {
	words := []string{"nsenter", "--mount", "--target", strconv.Itoa(d.holder)}
	if d.user {
		words = append(words, "--user", "--preserve-credentials")
	}
	return words
}

// Path returns a path on the disk for the test itself.
func (d *Disk) Path(name string) string {
	return filepath.Join("/proc", strconv.Itoa(d.holder), "root", d.At, name)
}

// Fill fills the disk. Free makes room again.
func (d *Disk) Fill() {
	d.tb.Helper()
	f, err := os.Create(d.Path("filler"))
	if err != nil {
		d.tb.Fatal(err)
	}
	defer f.Close()
	for piece := bytes.Repeat([]byte("x"), 64<<10); len(piece) > 0; {
		if _, err := f.Write(piece); err != nil {
			piece = piece[:len(piece)/2]
		}
	}
}

// Free removes what Fill has written.
func (d *Disk) Free() {
	d.tb.Helper()
	if err := os.Remove(d.Path("filler")); err != nil {
		d.tb.Fatal(err)
	}
}
