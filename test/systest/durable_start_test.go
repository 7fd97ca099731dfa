package systest

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gearloop/codec"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// refusal requires a start to fail with this status and one line that contains these texts.
func refusal(t *testing.T, r result, status int, says ...string) {
	t.Helper()
	if r.code != status || r.stdout != "" {
		t.Errorf("exit status %d, want %d; prints %q", r.code, status, r.stdout)
	}
	if strings.Count(r.stderr, "\n") != 1 || !strings.HasPrefix(r.stderr, "gearloop: ") {
		t.Errorf("says %q, want one line", r.stderr)
	}
	for _, text := range says {
		if !strings.Contains(r.stderr, text) {
			t.Errorf("says %q, want something with %q", r.stderr, text)
		}
	}
}

// serveOn tries to start a server on a directory of jobs.
func serveOn(t *testing.T, dir string, options ...string) result {
	t.Helper()
	return run(t, nil, append([]string{"serve", "--listen", "127.0.0.1:0", "--data-dir", dir}, options...)...)
}

// A directory belongs to one broker at a time, and an attempt to start a second one does not affect it. When
// it has ended or was killed the next can use the directory at once.
func TestSecondBroker(t *testing.T) {
	inBoth(t, func(t *testing.T, k *keeper) {
		s := k.start()
		client := wire.Dial(t, s.Addr)
		first := client.Submit(codec.SubmitJobBg, "f", "", "1")
		refusal(t, serveOn(t, k.dir), 1, k.dir, "in use")
		refusal(t, serveOn(t, k.dir, "-d"), 1, k.dir, "in use")
		// The same through another name of the directory.
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(k.dir, link); err != nil {
			t.Fatal(err)
		}
		refusal(t, serveOn(t, link), 1, link, "in use")
		second := client.Submit(codec.SubmitJobBg, "f", "", "2")
		s = k.kill()
		wantKnown(t, s.Addr, "kk", first, second)
		wantJobs(t, s, "f", "1", "2")
	})
}

// A directory of a newer version is refused and not changed.
func TestNewerFormat(t *testing.T) {
	t.Parallel()
	k := newKeeper(t, "perl")
	s := k.start()
	wire.Dial(t, s.Addr).Submit(codec.SubmitJobBg, "f", "", "1")
	s.Signal(syscall.SIGUSR1)
	ended(t, s, 0)
	path := filepath.Join(k.dir, "META")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// META has two places, each a line of JSON and its checksum, filled up with blanks.
	const slotSize = 4096
	after := bytes.Clone(before)
	for b := after; len(b) >= slotSize; b = b[slotSize:] {
		line := bytes.TrimRight(b[:slotSize-1], " ")
		at := bytes.LastIndexByte(line, ' ')
		if at < 0 {
			continue
		}
		text := bytes.Replace(line[:at], []byte(`"format":1`), []byte(`"format":2`), 1)
		if bytes.Equal(text, line[:at]) {
			t.Fatalf("no format in %q", line)
		}
		copy(b, fmt.Appendf(nil, "%s %08x", text, crc32.Checksum(text, crc32.MakeTable(crc32.Castagnoli))))
	}
	if err := os.WriteFile(path, after, 0o600); err != nil {
		t.Fatal(err)
	}
	refusal(t, serveOn(t, k.dir), 1, k.dir, "newer", "2")
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, after) {
		t.Errorf("it was changed, %v", err)
	}
	if err := os.WriteFile(path, before, 0o600); err != nil {
		t.Fatal(err)
	}
	wantJobs(t, k.start(), "f", "1")
}

// A server does not start on a damaged directory. One line says which file is damaged and what to do. A
// repair restores what is readable.
func TestDamagedDirectory(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("0123456789abcdef", 20<<10)
	for name, damage := range map[string]struct {
		files string
		do    func(path string) error
		left  []string // of the jobs 1, large, 2
	}{
		"a byte of a segment": {"*.log", func(path string) error { return flip(path, `%*"1"*`) }, []string{"large", "2"}},
		"an argument is cut":  {"*.arg", func(path string) error { return os.Truncate(path, 100<<10) }, []string{"1", "2"}},
		"an argument is lost": {"*.arg", os.Remove, []string{"1", "2"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKeeper(t, "perl")
			s := k.start()
			client := wire.Dial(t, s.Addr)
			// Each is acknowledged before the next one, so they are in separate records.
			client.Submit(codec.SubmitJobBg, "f", "", `%*"1"*`)
			client.Submit(codec.SubmitJobBg, "f", "", large)
			client.Submit(codec.SubmitJobBg, "f", "", "2")
			s = k.restart()
			s.Signal(syscall.SIGUSR1)
			ended(t, s, 0)
			files, err := filepath.Glob(filepath.Join(k.dir, damage.files))
			if err != nil || len(files) == 0 {
				t.Fatalf("no %s: %v", damage.files, err)
			}
			if err := damage.do(files[0]); err != nil {
				t.Fatal(err)
			}
			refusal(t, serveOn(t, k.dir), 1, k.dir, filepath.Base(files[0]), "store repair")
			if r := run(t, nil, "store", "repair", k.dir); r.code != 0 {
				t.Errorf("store repair: exit status %d, %s%s", r.code, r.stdout, r.stderr)
			}
			var want []string
			for _, job := range damage.left {
				want = append(want, strings.NewReplacer("large", large, "1", `%*"1"*`).Replace(job))
			}
			wantJobs(t, k.start(), "f", want...)
		})
	}
}

// A large argument is read when a worker gets the job. If that fails the log names the job, and the worker
// gets the next one. The job stays in the directory for a repair, and a submission with its unique id makes
// another job.
func TestDamagedArgument(t *testing.T) {
	inBoth(t, func(t *testing.T, k *keeper) {
		s := k.start()
		client := wire.Dial(t, s.Addr)
		large := strings.Repeat("0123456789abcdef", 20<<10)
		damaged := client.Submit(codec.SubmitJobHighBg, "f", "u", large)
		client.Submit(codec.SubmitJobBg, "f", "", "1")
		s.Signal(syscall.SIGUSR1)
		ended(t, s, 0)
		files, err := filepath.Glob(filepath.Join(k.dir, "*.arg"))
		if err != nil || len(files) != 1 {
			t.Fatalf("%q, %v", files, err)
		}
		if err := flip(files[0], "abcdef0"); err != nil {
			t.Fatal(err)
		}
		s = k.start()
		worker := able(t, s, "f")
		worker.Send(codec.GrabJob)
		worker.Want(codec.NoJob)
		awaitLog(t, s, filepath.Base(files[0]))
		awaitLog(t, s, "job="+damaged)
		if _, argument := worker.Grab(); argument != "1" {
			t.Errorf("got a job with %.20q", argument)
		}
		other := wire.Dial(t, s.Addr).Submit(codec.SubmitJobBg, "f", "u", "2")
		if got, argument := worker.Grab(); got == damaged || got != other || argument != "2" {
			t.Errorf("got job %s with %.20q, submitted as %s", got, argument, other)
		}
		worker.Send(codec.WorkComplete, other, "")
		worker.Sync()
		worker.Close()
		s.Signal(syscall.SIGUSR1)
		ended(t, s, 0)
		r := run(t, nil, "store", "check", k.dir)
		if r.code != 1 || !strings.Contains(r.stdout+r.stderr, filepath.Base(files[0])) {
			t.Errorf("store check: exit status %d, %s%s", r.code, r.stdout, r.stderr)
		}
		if r := run(t, nil, "store", "repair", k.dir); r.code != 0 {
			t.Errorf("store repair: exit status %d, %s%s", r.code, r.stdout, r.stderr)
		}
		s = k.start()
		wantKnown(t, s.Addr, "-", damaged)
		wantJobs(t, s, "f", "1")
	})
}

// flip changes a byte of a file at a text.
func flip(path, text string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	at := bytes.Index(b, []byte(text))
	if at < 0 {
		return fmt.Errorf("no %q in %s", text, path)
	}
	b[at+1] ^= 1
	return os.WriteFile(path, b, 0o600)
}

// Mistakes in the directory or its options are reported in one line.
func TestDirectoryMistakes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, m := range []struct {
		dir     string
		options string
		status  int
		says    string
	}{
		{file, "", 1, file},
		{file, "-d", 1, file},
		{filepath.Join(file, "data"), "", 1, file},
		{"/proc/nowhere/data", "", 1, "/proc/nowhere"},
		{"/dev/null", "", 1, "/dev/null"},
		{"", "--sync=none", 2, "--data-dir"},
		{"", "-d --sync=interval=1s", 2, "--data-dir"},
		{filepath.Join(dir, "new"), "--sync=sometimes", 2, "sometimes"},
		{filepath.Join(dir, "new"), "--sync=interval=0s", 2, "--sync"},
	} {
		args := append([]string{"serve", "--listen", "127.0.0.1:0"}, strings.Fields(m.options)...)
		if m.dir != "" {
			args = append(args, "--data-dir", m.dir)
		}
		r := run(t, nil, args...)
		t.Run(m.dir+" "+m.options, func(t *testing.T) { refusal(t, r, m.status, m.says) })
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if text, _ := os.ReadFile(file); string(text) != "precious" {
		t.Error("a file was taken for the directory")
	}
}

// If the port is in use the directory is not touched, and its jobs are there at the next start.
func TestPortTaken(t *testing.T) {
	t.Parallel()
	k := newKeeper(t, "perl")
	s := k.start()
	wire.Dial(t, s.Addr).Submit(codec.SubmitJobBg, "f", "", "1")
	other := newKeeper(t, "perl")
	r := run(t, nil, "serve", "--listen", s.Addr, "--data-dir", other.dir)
	refusal(t, r, 1, "already in use")
	if _, err := os.Stat(other.dir); err == nil {
		t.Error("a directory was made for a server that could not start")
	}
	s = k.kill()
	wantJobs(t, s, "f", "1")
}

// someone returns a user that the server can become: nobody if the test runs as root, else the current one.
func someone(t *testing.T) (who *user.User, uid, gid int) {
	t.Helper()
	who, err := user.Current()
	if err == nil && who.Uid == "0" {
		who, err = user.Lookup("nobody")
	}
	if err != nil {
		t.Fatal(err)
	}
	uid, _ = strconv.Atoi(who.Uid)
	gid, _ = strconv.Atoi(who.Gid)
	return who, uid, gid
}

// With --user the directory and its files belong to the user. A directory that the user may not write to is
// refused.
func TestDirectoryOfUser(t *testing.T) {
	t.Parallel()
	who, uid, gid := someone(t)
	home := t.TempDir()
	for _, err := range []error{
		os.Chmod(filepath.Dir(home), 0o755), os.Chmod(home, 0o755), os.Chown(home, uid, gid),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	k := &keeper{t: t, dialect: "c", dir: filepath.Join(home, "data")}
	for range 2 {
		s := k.start("--user", who.Username)
		client := wire.Dial(t, s.Addr)
		client.Submit(codec.SubmitJobBg, "f", "", "small")
		client.Submit(codec.SubmitJobBg, "f", "", strings.Repeat("large ", 50<<10))
		files, err := filepath.Glob(filepath.Join(k.dir, "*"))
		if err != nil || len(files) < 4 {
			t.Errorf("files: %q, %v", files, err)
		}
		for _, file := range append(files, k.dir) {
			if u, g := ownerOf(t, file); u != who.Uid || g != who.Gid {
				t.Errorf("%s belongs to %s:%s, want %s:%s", file, u, g, who.Uid, who.Gid)
			}
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm()&0o022 != 0 {
				t.Errorf("%s can be written by others: %v", file, info.Mode())
			}
		}
		k.kill("--user", who.Username)
		wantJobs(t, k.s, "f", "small", strings.Repeat("large ", 50<<10))
		k.s.Signal(syscall.SIGUSR1)
		ended(t, k.s, 0)
	}
	locked := filepath.Join(home, "locked")
	if err := os.Mkdir(locked, 0o555); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{locked, filepath.Join(locked, "data")} {
		r := serveOn(t, dir, "--dialect", "c", "--user", who.Username, "--log-file", "stderr")
		if r.code != 1 || !strings.Contains(r.stderr, dir) || !strings.Contains(r.stderr, "permission denied") ||
			strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("%s: exit status %d, says %q", dir, r.code, r.stderr)
		}
	}
}

// A daemon finds its directory, given relative to where it was started, and its jobs return after a kill. A
// daemon that cannot use it reports that before it detaches.
func TestDaemonKeepsJobs(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	start := func() (r result, pid int) {
		cmd := command(peers.Binary(t), nil, "serve", "-d", "--pidfile", "pid", "--log-file", "log",
			"--listen", "unix:socket", "--data-dir", "data")
		cmd.Dir = home
		r = launch(t, cmd).wait()
		text, _ := os.ReadFile(filepath.Join(home, "pid"))
		pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		if pid > 0 {
			t.Cleanup(func() { syscall.Kill(pid, syscall.SIGKILL) })
		}
		return r, pid
	}
	addr := "unix:" + filepath.Join(home, "socket")
	var handles []string
	for turn := range 3 {
		r, pid := start()
		if r.code != 0 || r.stdout+r.stderr != "" || pid == 0 {
			t.Fatalf("exit status %d, prints %q, says %q, pid %d", r.code, r.stdout, r.stderr, pid)
		}
		client := wire.Dial(t, addr)
		if got := known(client, handles...); got != strings.Repeat("k", turn) {
			t.Errorf("turn %d: the status of the jobs is %s", turn, got)
		}
		handles = append(handles, client.Submit(codec.SubmitJobBg, "f", "", strconv.Itoa(turn)))
		// It may also be started from another place.
		refusal(t, serveOn(t, filepath.Join(home, "data"), "-d"), 1, "data", "in use")
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		client.WantEnd()
		gone(t, pid)
		os.Remove(filepath.Join(home, "pid"))
	}
}
