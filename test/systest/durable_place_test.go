package systest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gearloop/codec"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// saysAway is the log's text for a directory that was moved away.
const saysAway = "was removed or replaced while it was in use"

// The directory is moved away while the server runs. Background jobs are refused, one line says why, and
// everything else works. What is put in its place is not changed. The server recovers when the directory is
// back.
func TestDirectoryPulledAway(t *testing.T) {
	for _, c := range []struct {
		name string
		away func(dir string) error
		back func(dir string) error // nil: it never comes back
	}{
		{"rm -rf", os.RemoveAll, nil},
		{"mv", func(dir string) error { return os.Rename(dir, dir+".away") },
			func(dir string) error { return os.Rename(dir+".away", dir) }},
		{"a backup in its place", func(dir string) error {
			if err := os.Rename(dir, dir+".away"); err != nil {
				return err
			}
			return os.Rename(dir+".backup", dir)
		}, func(dir string) error {
			if err := os.Rename(dir, dir+".backup"); err != nil {
				return err
			}
			return os.Rename(dir+".away", dir)
		}},
		{"META alone", func(dir string) error { return os.Rename(dir+"/META", dir+".META") },
			func(dir string) error { return os.Rename(dir+".META", dir+"/META") }},
	} {
		for _, mode := range []string{"always", "none"} {
			t.Run(c.name+", "+mode, func(t *testing.T) {
				t.Parallel()
				k := newKeeper(t, "perl")
				s := k.start("--sync", mode)
				o := k.offering(s.Addr)
				o.offer(100)
				if err := os.CopyFS(k.dir+".backup", os.DirFS(k.dir)); err != nil {
					t.Fatal(err)
				}
				o.offer(100)
				if err := c.away(k.dir); err != nil {
					t.Fatal(err)
				}
				for range 20 {
					if o.offer(100) || o.offer(300<<10) {
						t.Fatal("a job was acknowledged for a directory that is away")
					}
				}
				awaitLog(t, s, saysAway)
				foreground(t, s.Addr)
				o.handsOut(s.Addr)
				once(t, s.Stderr(), "can't be stored", 1)
				if c.back == nil {
					if names, err := os.ReadDir(k.dir); err == nil {
						t.Errorf("there is a directory again, with %v", names)
					}
					s.Signal(syscall.SIGUSR1)
					ended(t, s, 1)
					return
				}
				if c.name == "a backup in its place" {
					// Another server may use that one.
					other := peers.Start(t, peers.Gearloop, "--data-dir", k.dir)
					wantKnown(t, other.Addr, "k-", o.handles...)
					other.Signal(syscall.SIGKILL)
					if _, err := other.Wait(wire.Limit); err != nil {
						t.Fatal(err)
					}
				}
				if err := c.back(k.dir); err != nil {
					t.Fatal(err)
				}
				o.untilTaken(100)
				awaitLog(t, s, saysAgain)
				s = k.kill("--sync", mode)
				wantKnown(t, s.Addr, strings.Repeat("k", len(o.handles)), o.handles...)
				wantJobs(t, s, "f", o.accepted...)
			})
		}
	}
}

// Removing LOCK does not let a second server in, and the first one continues.
func TestLockRemoved(t *testing.T) {
	inBoth(t, func(t *testing.T, k *keeper) {
		s := k.start()
		o := k.offering(s.Addr)
		o.offer(100)
		if err := os.Remove(filepath.Join(k.dir, "LOCK")); err != nil {
			t.Fatal(err)
		}
		refusal(t, serveOn(t, k.dir), 1, k.dir, "in use")
		for _, command := range []string{"check", "dump", "repair"} {
			if r := run(t, nil, "store", command, k.dir); r.code == 0 || !strings.Contains(r.stderr, "in use") {
				t.Errorf("store %s: exit status %d, %s", command, r.code, r.stderr)
			}
		}
		if !o.offer(100) {
			t.Error("a job was refused")
		}
		s = k.kill()
		wantKnown(t, s.Addr, "kk", o.handles...)
		wantJobs(t, s, "f", o.accepted...)
	})
}

// Stored files belong to their owner alone, even in an existing directory, with files of an earlier version,
// and whatever the umask. A directory that everybody may write to and that the server does not own is refused
// with one line.
func TestModesOfFiles(t *testing.T) {
	t.Parallel()
	k := newKeeper(t, "c")
	s := k.start()
	client := wire.Dial(t, s.Addr)
	client.Submit(codec.SubmitJobBg, "f", "", "small")
	client.Submit(codec.SubmitJobBg, "f", "", strings.Repeat("large ", 50<<10))
	s.Signal(syscall.SIGUSR1)
	ended(t, s, 0)
	err := filepath.WalkDir(k.dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chmod(path, 0o777)
	})
	if err != nil {
		t.Fatal(err)
	}
	p := launch(t, command("sh", nil, "-c", `umask 0; exec "$@"`, "sh", peers.Binary(t), "serve", "--listen", "127.0.0.1:0",
		"--data-dir", k.dir))
	client = wire.Dial(t, listening(t, p))
	client.Submit(codec.SubmitJobBg, "f", "", "small")
	client.Submit(codec.SubmitJobBg, "f", "", strings.Repeat("large ", 50<<10))
	files := 0
	err = filepath.WalkDir(k.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if files++; info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil || files < 6 {
		t.Errorf("%d files, %v", files, err)
	}
	killGroup(p)

	if os.Geteuid() != 0 {
		return // no directory can be made that is somebody else's
	}
	who, _, _ := someone(t)
	home := filepath.Dir(k.dir)
	theirs := filepath.Join(home, "theirs")
	for _, err := range []error{
		os.Chmod(filepath.Dir(home), 0o755), os.Chmod(home, 0o755), os.Mkdir(theirs, 0o700), os.Chmod(theirs, 0o777),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	refusal(t, serveOn(t, theirs, "--user", who.Username), 1, "everybody may write to "+theirs, "0777", "0700")
	if names, err := os.ReadDir(theirs); err != nil || len(names) > 0 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}
