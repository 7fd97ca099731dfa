package systest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// programOfC is the C server that Gearloop replaces.
const programOfC = "/usr/sbin/gearmand"

// gearmand returns a link to Gearloop under the name of the C server.
func gearmand(t *testing.T) string {
	t.Helper()
	link := filepath.Join(t.TempDir(), "gearmand")
	if err := os.Symlink(peers.Binary(t), link); err != nil {
		t.Fatal(err)
	}
	return link
}

// onFreePort calls do with a free port, and again with another one if it was taken in between.
func onFreePort(t *testing.T, do func(port string) (taken bool)) {
	t.Helper()
	for range 8 {
		port, err := peers.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		if !do(strconv.Itoa(port)) {
			return
		}
	}
	t.Fatal("no free port stays free")
}

// accepts reports whether somebody listens.
func accepts(addr string) bool {
	c, err := net.Dial("tcp", addr)
	if err == nil {
		c.Close()
	}
	return err == nil
}

// serving starts a program as gearmand on a free port of 127.0.0.1 and waits for its pid file. The port is
// part of the arguments, and so is a log on standard error.
func serving(t *testing.T, program string, args ...string) (p *program, addr, pidfile string) {
	t.Helper()
	pidfile = filepath.Join(t.TempDir(), "pid")
	onFreePort(t, func(port string) bool {
		all := append([]string{"-p", port, "-L", "127.0.0.1", "-P", pidfile, "-l", "stderr", "--verbose", "INFO"}, args...)
		if program == programOfC {
			all = append(all, "-u", "root")
		}
		p = launch(t, command(program, nil, all...))
		addr = "127.0.0.1:" + port
		wire.Await(t, "it listens, or has ended", func() bool {
			_, err := os.Stat(pidfile)
			return err == nil && accepts(addr) || p.isDone()
		})
		return p.isDone() && strings.Contains(p.stderr.String(), "already in use")
	})
	if p.isDone() {
		t.Fatalf("%q has ended: %s", p.cmd.Args, &p.stderr)
	}
	return p, addr, pidfile
}

// isDone reports whether the program has ended.
func (p *program) isDone() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// ownerOf returns user and group of a file.
func ownerOf(t *testing.T, path string) (uid, gid string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	s := info.Sys().(*syscall.Stat_t)
	return strconv.Itoa(int(s.Uid)), strconv.Itoa(int(s.Gid))
}

// status returns the fields behind a name in a process's status.
func status(t *testing.T, pid int, name string) []string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.Fields(rest)
		}
	}
	t.Fatalf("no %s in the status of process %d", name, pid)
	return nil
}

// gone waits until a process does not exist, or is a zombie.
func gone(t *testing.T, pid int) {
	t.Helper()
	wire.Await(t, "the process has ended", func() bool {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(text), ") Z ")
	})
}

// withoutRights checks that no thread of a process has any of root's rights.
func withoutRights(t *testing.T, pid int) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(threads) < 2 {
		t.Fatalf("threads %q, %v", threads, err)
	}
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		if err != nil {
			continue // it has ended
		}
		for line := range strings.Lines(string(text)) {
			name, rest, _ := strings.Cut(line, ":")
			fields := strings.Fields(rest)
			switch name {
			case "Uid", "Gid", "Groups":
				if slices.Contains(fields, "0") {
					t.Errorf("%s: %s", thread, line)
				}
			case "CapPrm", "CapEff", "CapAmb":
				if strings.Trim(fields[0], "0") != "" {
					t.Errorf("%s: %s", thread, line)
				}
			}
		}
	}
}

// The test does what an init script does: it starts a daemon with pid file, log file and user, and stops it
// by its pid. Nothing is left behind, and the daemon can be started again at once on the same port.
func TestInitScript(t *testing.T) {
	t.Parallel()
	who, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if who.Uid == "0" {
		if who, err = user.Lookup("nobody"); err != nil {
			t.Fatal(err)
		}
	}
	uid, _ := strconv.Atoi(who.Uid)
	gid, _ := strconv.Atoi(who.Gid)
	// A directory that belongs to the user, as /run/gearman does, and is accessible to it.
	dir := t.TempDir()
	for _, err := range []error{os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o755), os.Chown(dir, uid, gid)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	program, pidfile, logfile := gearmand(t), filepath.Join(dir, "gearmand.pid"), filepath.Join(dir, "gearmand.log")
	start := func(port string) result {
		cmd := exec.Command(program, "--daemon", "--pid-file="+pidfile, "--log-file="+logfile, "--user="+who.Username,
			"--listen=localhost", "--port="+port, "--verbose=INFO")
		cmd.Env, cmd.Dir, cmd.WaitDelay = []string{}, "/", wire.Limit
		r := launch(t, cmd).wait()
		if text, err := os.ReadFile(pidfile); err == nil {
			pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
			t.Cleanup(func() { syscall.Kill(pid, syscall.SIGKILL) })
		}
		return r
	}
	var addr, port string
	onFreePort(t, func(free string) bool {
		port, addr = free, "127.0.0.1:"+free
		r := start(port)
		taken := strings.Contains(r.stderr, "already in use")
		if !taken && (r.code != 0 || r.stdout+r.stderr != "") {
			t.Fatalf("exit status %d, prints %q, says %q", r.code, r.stdout, r.stderr)
		}
		return taken
	})
	for turn := range 2 {
		if turn > 0 {
			// The port has connections in TIME_WAIT now.
			if r := start(port); r.code != 0 {
				t.Fatalf("second start: exit status %d, says %q", r.code, r.stderr)
			}
		}
		text, err := os.ReadFile(pidfile)
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSuffix(string(text), "\n"))
		if err != nil {
			t.Fatalf("pid file: %q", text)
		}
		c := wire.Dial(t, addr)
		c.Sync()
		c.Line("getpid")
		if got := c.ReadLine(); got != fmt.Sprintf("OK %d", pid) {
			t.Errorf("the pid file has %d, the server says %s", pid, got)
		}
		if ids := status(t, pid, "Uid"); !slices.Equal(ids, []string{who.Uid, who.Uid, who.Uid, who.Uid}) {
			t.Errorf("its users are %q, want %s", ids, who.Uid)
		}
		if ids := status(t, pid, "Gid"); !slices.Equal(ids, []string{who.Gid, who.Gid, who.Gid, who.Gid}) {
			t.Errorf("its groups are %q, want %s", ids, who.Gid)
		}
		if groups := status(t, pid, "Groups"); uid != os.Getuid() && slices.Contains(groups, "0") {
			t.Errorf("it is still in root's group: %q", groups)
		}
		if uid != os.Getuid() {
			withoutRights(t, pid)
		}
		for _, file := range []string{pidfile, logfile} {
			if u, g := ownerOf(t, file); u != who.Uid || g != who.Gid {
				t.Errorf("%s belongs to %s:%s, want %s:%s", file, u, g, who.Uid, who.Gid)
			}
		}
		if parent := status(t, pid, "PPid"); parent[0] == strconv.Itoa(os.Getpid()) {
			t.Error("it is not detached")
		}
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		c.WantEnd()
		gone(t, pid)
		if accepts(addr) {
			t.Error("somebody listens still")
		}
		left, err := os.ReadDir(dir)
		if err != nil || len(left) != 1 || left[0].Name() != "gearmand.log" {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
	log, err := os.ReadFile(logfile)
	if err != nil || strings.Count(string(log), "msg=ended") != 2 {
		t.Errorf("the log does not tell of two ends, %v:\n%s", err, log)
	}
}

// SIGTERM and SIGINT end the server at once, whatever is queued or running, as they do the C server.
func TestEndAtOnceInC(t *testing.T) {
	t.Parallel()
	for _, program := range []string{programOfC, gearmand(t)} {
		for _, signal := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
			err := endedBy(t, program, signal)
			// The C server now and then misses a signal or crashes at it.
			for n := 0; n < 5 && program == programOfC && err != nil; n++ {
				err = endedBy(t, program, signal)
			}
			if err != nil {
				t.Errorf("%s: %v: %v", program, signal, err)
			}
		}
	}
}

// endedBy starts a program as gearmand, gives it jobs, and ends it by one signal.
func endedBy(t *testing.T, program string, signal os.Signal) error {
	t.Helper()
	p, addr, pidfile := serving(t, program)
	client, worker := wire.Dial(t, addr), wire.Dial(t, addr)
	worker.Send(codec.CanDo, "f")
	client.Submit(codec.SubmitJob, "f", "", "runs")
	client.Submit(codec.SubmitJobBg, "f", "", "waits")
	worker.Grab()
	p.cmd.Process.Signal(signal)
	if program == programOfC {
		missed := time.AfterFunc(wire.Limit/4, func() { p.cmd.Process.Kill() })
		defer missed.Stop()
	}
	if r := p.wait(); r.code != 0 {
		return fmt.Errorf("exit status %d\n%s", r.code, r.stderr)
	}
	client.WantEnd()
	worker.WantEnd()
	if _, err := os.Stat(pidfile); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the pid file is left behind, %v", err)
	}
	return nil
}

// SIGUSR1 ends the server when its jobs are done, in both dialects.
func TestDrainBySignal(t *testing.T) {
	t.Parallel()
	for _, dialect := range []string{"perl", "c"} {
		s := peers.Start(t, peers.Gearloop, "--dialect", dialect)
		client, worker := wire.Dial(t, s.Addr), wire.Dial(t, s.Addr)
		worker.Send(codec.CanDo, "f")
		first := client.Submit(codec.SubmitJob, "f", "", "1")
		second := client.Submit(codec.SubmitJob, "f", "", "2")
		worker.Grab()
		s.Signal(syscall.SIGUSR1)
		refused(t, s.Addr)
		for _, handle := range []string{first, second} {
			worker.Send(codec.WorkComplete, handle, "result")
			client.Want(codec.WorkComplete, handle, "result")
			if handle == first {
				worker.Grab()
			}
		}
		ended(t, s, 0)
	}
	// SIGTERM after it ends the server at once.
	s := peers.Start(t, peers.Gearloop, "--dialect", "c")
	wire.Dial(t, s.Addr).Submit(codec.SubmitJobBg, "f", "", "waits")
	s.Signal(syscall.SIGUSR1)
	awaitLog(t, s, "ending gracefully")
	s.Signal(syscall.SIGTERM)
	ended(t, s, 0)
}

// SIGHUP reopens the log file in both dialects, for log rotation.
func TestLogRotation(t *testing.T) {
	t.Parallel()
	for _, dialect := range []string{"perl", "c"} {
		path := filepath.Join(t.TempDir(), "log")
		s := peers.Start(t, peers.Gearloop, "--dialect", dialect, "--log-file", path)
		has := func(path, text string) bool {
			log, _ := os.ReadFile(path)
			return strings.Contains(string(log), text)
		}
		wire.Await(t, "it logs", func() bool { return has(path, "started") })
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		s.Signal(syscall.SIGHUP)
		wire.Await(t, "there is a new log", func() bool {
			_, err := os.Stat(path)
			return err == nil
		})
		// The file exists before the log goes there. The next signal is logged when it does.
		s.Signal(syscall.SIGHUP)
		wire.Await(t, "it logs to the new log", func() bool { return has(path, "SIGHUP") })
		wire.Dial(t, s.Addr).Sync()
		s.Signal(syscall.SIGTERM)
		ended(t, s, 0)
		if !has(path, "msg=ended") || has(path+".1", "msg=ended") {
			t.Errorf("%s: the end is logged to the file that was moved away", dialect)
		}
	}
}

// It can start without any environment, in a removed directory, and with pipes as standard streams that
// nobody reads.
func TestBareSurroundings(t *testing.T) {
	t.Parallel()
	program, dir := gearmand(t), t.TempDir()
	for _, daemon := range []string{"", "-d"} {
		onFreePort(t, func(port string) bool {
			pidfile := filepath.Join(dir, "pid")
			script := `mkdir "$1/removed" && cd "$1/removed" && rmdir "$1/removed" && shift && exec env -i "$@"`
			args := []string{"-c", script, "sh", dir,
				program, "-p", port, "-L", "127.0.0.1", "-P", pidfile, "-l", filepath.Join(dir, "log")}
			if daemon != "" {
				args = append(args, daemon)
			}
			cmd := command("/bin/sh", nil, args...)
			in, out, errs := pipeEnd(t, false), pipeEnd(t, true), pipeEnd(t, true)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, errs
			p := launch(t, cmd)
			wire.Await(t, "it listens, or has ended", func() bool {
				_, err := os.Stat(pidfile)
				return err == nil && accepts("127.0.0.1:"+port) || daemon == "" && p.isDone()
			})
			if daemon == "" && p.isDone() {
				return true
			}
			wire.Dial(t, "127.0.0.1:"+port).Sync()
			pid := terminate(t, pidfile)
			if r := p.wait(); r.code != 0 {
				t.Errorf("%s: exit status %d", daemon, r.code)
			}
			gone(t, pid)
			return false
		})
	}
}

// pipeEnd returns one end of a pipe whose other end is closed.
func pipeEnd(t *testing.T, write bool) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if write {
		r, w = w, r
	}
	w.Close()
	t.Cleanup(func() { r.Close() })
	return r
}
