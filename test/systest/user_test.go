package systest

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gearloop/codec"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// reachable returns a directory that everybody can enter and that belongs to a user.
func reachable(t *testing.T, uid, gid int) string {
	t.Helper()
	dir := t.TempDir()
	for _, err := range []error{os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o755), os.Chown(dir, uid, gid)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// A unix socket belongs to the user that the server becomes, whose name or number may be given, and has the
// mode that was asked for. It is removed at the end.
func TestUnixSocketOfUser(t *testing.T) {
	t.Parallel()
	who, uid, gid := someone(t)
	for _, owner := range []string{who.Username, strconv.Itoa(uid), strconv.Itoa(uid) + ":" + strconv.Itoa(gid)} {
		for mode, want := range map[string]os.FileMode{"": 0o660, "600": 0o600, "0666": 0o666} {
			dir := reachable(t, uid, gid)
			socket := filepath.Join(dir, "socket")
			args := []string{"--listen", "unix:" + socket, "--user", owner, "--pidfile", filepath.Join(dir, "pid")}
			if mode != "" {
				args = append(args, "--unix-mode", mode)
			}
			s := peers.Start(t, peers.Gearloop, args...)
			info, err := os.Lstat(socket)
			if err != nil || info.Mode() != os.ModeSocket|want {
				t.Errorf("--unix-mode %q: %v, %v; want %v", mode, info, err, want)
			}
			for _, file := range []string{socket, filepath.Join(dir, "pid")} {
				if u, g := ownerOf(t, file); u != strconv.Itoa(uid) || g != strconv.Itoa(gid) {
					t.Errorf("--user %s: %s belongs to %s:%s", owner, file, u, g)
				}
			}
			if ids := status(t, s.PID, "Uid"); slices.ContainsFunc(ids, func(id string) bool { return id != strconv.Itoa(uid) }) {
				t.Errorf("--user %s: runs as %v", owner, ids)
			}
			wire.Dial(t, s.Addr).Sync()
			s.Signal(syscall.SIGTERM)
			ended(t, s, 0)
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		}
	}
}

// The server warns at its start of sockets that its user cannot remove at the end. The next server replaces them.
func TestUnixSocketStays(t *testing.T) {
	t.Parallel()
	who, uid, gid := someone(t)
	for _, owner := range []int{uid, os.Getuid()} {
		dir := reachable(t, owner, gid)
		sockets := []string{filepath.Join(dir, "socket"), filepath.Join(dir, "admin")}
		for range 2 {
			s := peers.Start(t, peers.Gearloop, "--listen", "unix:"+sockets[0],
				"--admin-socket", sockets[1], "--user", who.Username)
			wire.Dial(t, s.Addr).Sync()
			s.Signal(syscall.SIGTERM)
			ended(t, s, 0)
			for _, socket := range sockets {
				_, err := os.Lstat(socket)
				left := err == nil
				if said := strings.Contains(s.Stderr(), "socket="+socket+" "); left == (owner == uid) || said != left {
					t.Errorf("the directory belongs to %d, the server runs as %d: left behind %v, warned %v\n%s",
						owner, uid, left, said, s.Stderr())
				}
			}
		}
	}
}

// A graceful end does not touch the pid file and socket of the server that was started in its place
// meanwhile.
func TestSuccessor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pidfile, socket := filepath.Join(dir, "pid"), filepath.Join(dir, "socket")
	start := func() *peers.Server {
		return peers.Start(t, peers.Gearloop, "--pidfile", pidfile, "--listen", "unix:"+socket)
	}
	old := start()
	c := wire.Dial(t, old.Addr)
	c.Send(codec.CanDo, "f")
	client := wire.Dial(t, old.Addr)
	handle := client.Submit(codec.SubmitJob, "f", "", "x")
	c.Grab()
	old.Signal(syscall.SIGTERM)
	awaitLog(t, old, "draining")
	successor := start()
	c.Send(codec.WorkComplete, handle, "")
	ended(t, old, 0)
	if text, err := os.ReadFile(pidfile); err != nil || string(text) != strconv.Itoa(successor.PID)+"\n" {
		t.Errorf("the pid file of the successor: %q, %v; its process is %d", text, err, successor.PID)
	}
	wire.Dial(t, "unix:"+socket).Sync()
	successor.Signal(syscall.SIGTERM)
	ended(t, successor, 0)
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// The server warns at its start if its user cannot make a new log file after this one was moved away. Only
// root can try.
func TestLogRotationByUser(t *testing.T) {
	t.Parallel()
	who, uid, gid := someone(t)
	for _, owner := range []int{uid, os.Getuid()} {
		dir := reachable(t, owner, gid)
		path := filepath.Join(dir, "log")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, uid, gid); err != nil {
			t.Fatal(err)
		}
		s := peers.Start(t, peers.Gearloop, "--user", who.Username, "--log-file", path)
		s.Signal(syscall.SIGTERM)
		ended(t, s, 0)
		log, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if warned := strings.Contains(string(log), "cannot make files in the directory of the log"); warned != (owner != uid) {
			t.Errorf("the directory belongs to %d, the server runs as %d: warned %v\n%s",
				owner, uid, warned, log)
		}
	}
}

// If the user may not open or make a file the message names the user, because root, who starts the server,
// could.
func TestUserMayNot(t *testing.T) {
	t.Parallel()
	who, _, gid := someone(t)
	dir := reachable(t, os.Getuid(), gid)
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	for option, says := range map[string]string{"--pidfile": "pid file ", "--log-file": "log file ", "--data-dir": "--data-dir "} {
		file := filepath.Join(dir, "file")
		r := run(t, nil, "serve", "--listen", "127.0.0.1:0", "--user", who.Username, option, file)
		if r.code != 1 || strings.Count(r.stderr, "\n") != 1 || !strings.HasPrefix(r.stderr, "gearloop: "+says+file+": ") ||
			!strings.HasSuffix(r.stderr, "permission denied: it is opened as user "+who.Username+" (see --user)\n") {
			t.Errorf("%s: exit status %d, says %q", option, r.code, r.stderr)
		}
	}
}
