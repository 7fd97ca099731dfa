package clustertest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gearloop/test/await"
	"gearloop/test/pgtest"
)

// disk is a small file system that only processes started for it see.
type disk struct {
	t      *testing.T
	at     string
	holder int // process that holds the mount
}

func newDisk(t *testing.T, size string) *disk {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting a file system for another user's server needs root")
	}
	at, err := pgtest.TempDir("disk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(at) })
	in, out, err := os.Pipe() // cat reads until the test ends
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--mount", "sh", "-c",
		`mount -t tmpfs -o size="$1" none "$2" && chown postgres "$2" && echo mounted && exec cat`, "sh", size, at)
	cmd.Stdin = in
	says, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	t.Cleanup(func() {
		out.Close()
		_ = cmd.Wait()
	})
	b := make([]byte, 20)
	if n, _ := says.Read(b); !strings.HasPrefix(string(b[:n]), "mounted") {
		t.Fatalf("mounting: %s", &complaint)
	}
	return &disk{t: t, at: at, holder: cmd.Process.Pid}
}

func (d *disk) wrap() []string {
	return []string{"nsenter", "--mount", "--target", fmt.Sprint(d.holder)}
}

// path returns a path on the disk for the test itself.
func (d *disk) path(name string) string {
	return fmt.Sprintf("/proc/%d/root%s/%s", d.holder, d.at, name)
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

// The disk of the primary is full, for tables first, and then also for the log, which ends the server.
// Background jobs are refused meanwhile, nothing that was acknowledged is lost, and it comes back by itself.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct {
		name string
		log  bool
	}{{"tables", false}, {"log", true}} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			d := newDisk(t, "150m")
			opts := pgtest.Options{Dir: filepath.Join(d.at, "data"), Wrap: d.wrap(), Settings: []string{"min_wal_size=32MB", "max_wal_size=32MB", "wal_keep_size=0"}}
			if !kind.log {
				log, err := pgtest.TempDir("log")
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { os.RemoveAll(log) })
				opts.Log = filepath.Join(log, "wal")
			}
			db := pgtest.StartWith(t, opts)
			s := open(t, db.URL(""), 2)
			s.submit(4)
			s.l.more(50)
			defer s.l.trouble(-1)()
			d.exhaust()
			stop := make(chan struct{})
			if kind.log {
				go switchLogs(db, stop)
				await.Until(t, "the server has ended", func() bool { return !db.Runs() })
			} else {
				refused := s.refused()
				await.Until(t, "jobs are refused", func() bool { return s.refused() > refused })
			}
			close(stop)
			s.work(1)
			d.free()
			if kind.log {
				db.Kill(syscall.SIGQUIT) // it has ended, and has to be told so
				db.Run(t)
			}
			s.l.more(50)
			s.finish()
		})
	}
}

// switchLogs has a server begin new files of its log, which need room.
func switchLogs(db *pgtest.Server, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(50 * time.Millisecond):
			_ = db.Do("select pg_logical_emit_message(false, 'x', repeat('x', 1000000)), pg_switch_wal()")
		}
	}
}

func (s *site) refused() int {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	return s.l.refused
}
