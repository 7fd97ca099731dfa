package systest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/wire"
)

// The same arguments give the same exit status as with the C server. A start that succeeds is ended with
// SIGTERM and has exit status 0.
func TestExitStatusOfC(t *testing.T) {
	t.Parallel()
	ours, dir := gearmand(t), t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, bad := file("good.conf", "# with a comment\n--job-retries=3\n--exceptions\n"), file("bad.conf", "--nosuch=1\n")
	noValue, empty := file("novalue.conf", "--job-retries\n"), file("empty.conf", "")
	noValue2, twice := file("novalue2.conf", "--job-retries=\n"), file("twice.conf", "-j 1\n-j 2\n")
	guessed, ambiguous := file("guessed.conf", "--exc\n"), file("ambiguous.conf", "--keepalive-i=3\n")
	// RUN stands for the options of a server that starts.
	for _, c := range []struct {
		args string
		runs bool
		code int
	}{
		{"RUN", true, 0},
		{"RUN --round-robin -w 3 -j 300 --exceptions --coredump --syslog", true, 0},
		{"RUN --keepalive --keepalive-idle 5 --keepalive-interval=2 --keepalive-count 3", true, 0},
		{"RUN -b 7 -t 2 --hashtable-buckets 1733003 --file-descriptors=1024 -q builtin", true, 0},
		{"RUN -f 38", true, 0},
		{"RUN --file-descriptors=100", true, 0},
		{"RUN --http-port 1 --job-handle-prefix ABC", true, 0},
		{"RUN -j -1 -w -1 -t +3 -b -5 -f 0", true, 0},
		{"RUN --config-file " + good, true, 0},
		{"RUN --config-file=" + empty, true, 0},
		{"RUN --config-file=" + guessed, true, 0},
		{"RUN -Rw3 -dV", false, 0},
		{"-V", false, 0},
		{"--version", false, 0},
		{"-h", false, 0},
		{"--help", false, 0},
		{"-Vh", false, 0},
		{"--check-args", false, 0},
		{"--check-args -dR --ssl --keepalive", false, 0},
		{"--check-args -h", false, 0},
		{"--check-args -p nonsense --user nonsense -P /nosuch/pid -L 192.0.2.1", false, 0},
		{"--check-args --config-file " + good, false, 0},
		{"--check-args --config-file " + bad, false, 1},
		{"--check-args --verbose LOUD", false, 1},
		{"--check-args --hashtable-buckets 0", false, 1},
		{"--check-args --threads x", false, 1},
		{"--check-args --nosuch", false, 1},
		{"--check-args --check-args", false, 1},
		{"RUN --nosuch", false, 1},
		{"RUN --nosuch=3", false, 1},
		{"RUN --verb INFO", false, 1},
		{"RUN --PORT 3", false, 1},
		{"RUN -Z", false, 1},
		{"RUN -v", false, 1},
		{"RUN -RZ", false, 1},
		{"RUN nonsense", false, 1},
		{"RUN -", false, 1},
		{"RUN -- -R", false, 1},
		{"RUN --user", false, 1},
		{"RUN --user=", false, 1},
		{"RUN -q -R", false, 1},
		{"RUN -R --round-robin", false, 1},
		{"RUN --exceptions=1", false, 1},
		{"RUN --exceptions 1", false, 1},
		{"RUN -t x", false, 1},
		{"RUN -t 4294967296", false, 1},
		{"RUN -b 99999999999", false, 1},
		{"RUN -w 0x3", false, 1},
		{"RUN -w=3", false, 1},
		{"RUN -j 1.5", false, 1},
		{"RUN --keepalive-idle=soon", false, 1},
		{"RUN --verbose debug", false, 1},
		{"RUN --hashtable-buckets 0", false, 1},
		{"RUN -f -1", false, 1},
		{"RUN -f 5", false, 1},
		{"RUN -u no-such-user", false, 1},
		{"RUN -q nosuch", false, 1},
		{"RUN -q libsqlite3", false, 1},
		{"RUN -r nosuch", false, 1},
		{"RUN -r http --http-port nonsense", false, 1},
		{"RUN --job-handle-prefix " + strings.Repeat("x", 64), false, 1},
		{"RUN --config-file", false, 1},
		{"RUN --config-file=", false, 1},
		{"RUN --config-file /nosuch/file", false, 1},
		{"RUN --config-file " + bad, false, 1},
		{"RUN --config-file " + noValue, false, 1},
		{"RUN --config-file " + noValue2, false, 1},
		{"RUN --config-file " + twice, false, 1},
		{"RUN --config-file " + ambiguous, false, 1},
		{"-p nonsense -l none", false, 1},
		{"-p -1 -l none", false, 1},
		{"-p=4731 -l none", false, 1},
		{"-p 0 -L no.such.name.invalid -l none", false, 1},
		{"-p 0 -L 192.0.2.1 -l none", false, 1},
		{"-p 0 -P /nosuch/directory/pid -l none", false, 1},
		{"-p 0 -P " + dir + "/x -l none -d --nosuch", false, 1},
		{"-p 0 -P /nosuch/directory/pid -l none -d", false, 1},
	} {
		for _, program := range []string{programOfC, ours} {
			if rest, ok := strings.CutPrefix(c.args, "RUN"); ok && c.runs {
				r, pidfile := servedOnce(t, program, strings.Fields(rest)...)
				// The C server now and then misses SIGTERM or crashes at it.
				for n := 0; n < 5 && program == programOfC && r.code != c.code; n++ {
					r, pidfile = servedOnce(t, program, strings.Fields(rest)...)
				}
				if r.code != c.code {
					t.Errorf("%s %s: exit status %d after SIGTERM, want %d\n%s", program, c.args, r.code, c.code, r.stderr)
				}
				if _, err := os.Stat(pidfile); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s %s: the pid file is left behind, %v", program, c.args, err)
				}
				continue
			}
			args := strings.Fields(strings.Replace(c.args, "RUN", "-p 0 -l none -P "+dir+"/pid", 1))
			r := launch(t, command(program, nil, args...)).wait()
			if r.code != c.code {
				t.Errorf("%s %s: exit status %d, want %d\n%s", program, c.args, r.code, c.code, r.stderr)
			}
			if program == ours && (r.code != 0) != (strings.Count(r.stderr, "\n") == 1 && strings.HasPrefix(r.stderr, "gearmand: ")) {
				t.Errorf("%s: exit status %d, says %q", c.args, r.code, r.stderr)
			}
		}
	}
	// Mistakes that the C server retries for twenty seconds, or finds too late.
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	for _, args := range []string{
		"-p " + port, "-d -p " + port, "-p " + port + " -L 127.0.0.1", "-d -L localhost --port=" + port,
		"-p 0 --libsqlite3-db=x -d", "-p 65536",
	} {
		r := launch(t, command(ours, nil, append(strings.Fields(args), "-l", "none", "-P", dir+"/pid")...)).wait()
		if r.code != 1 || strings.Count(r.stderr, "\n") != 1 || !strings.HasPrefix(r.stderr, "gearmand: ") {
			t.Errorf("%s: exit status %d, says %q", args, r.code, r.stderr)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || slices.ContainsFunc(left, func(e os.DirEntry) bool { return !strings.HasSuffix(e.Name(), ".conf") }) {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// servedOnce starts a server and ends it with SIGTERM. If the server misses the signal it is sent again, and
// then the server is killed.
func servedOnce(t *testing.T, program string, options ...string) (r result, pidfile string) {
	t.Helper()
	p, _, pidfile := serving(t, program, options...)
	for n := 0; program == programOfC && n < 5 && !p.isDone(); n++ {
		p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(time.Second):
		}
	}
	if program == programOfC && !p.isDone() {
		p.cmd.Process.Kill()
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	return p.wait(), pidfile
}

// localhost is both loopback addresses, for clients that try either first.
func TestLocalhost(t *testing.T) {
	t.Parallel()
	if l, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Skipf("this machine has no second loopback address: %v", err)
	} else {
		l.Close()
	}
	program := gearmand(t)
	onFreePort(t, func(port string) bool {
		pidfile := filepath.Join(t.TempDir(), "pid")
		p := launch(t, command(program, nil, "--listen=localhost", "-p", port, "-l", "stderr", "-P", pidfile))
		wire.Await(t, "it listens, or has ended", func() bool { return accepts("127.0.0.1:"+port) || p.isDone() })
		if p.isDone() {
			if !strings.Contains(p.stderr.String(), "already in use") {
				t.Fatalf("says %q", &p.stderr)
			}
			return true
		}
		wire.Dial(t, "127.0.0.1:"+port).Sync()
		wire.Dial(t, "[::1]:"+port).Sync()
		return false
	})
}

// Addresses may have every form that the C library accepts, as with the C server.
func TestListenFormsOfC(t *testing.T) {
	t.Parallel()
	for _, program := range []string{programOfC, gearmand(t)} {
		for _, form := range []string{"*", "0", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "0.0.0.0"} {
			onFreePort(t, func(port string) bool {
				pidfile := filepath.Join(t.TempDir(), "pid")
				args := []string{"-p", port, "-L", form, "-P", pidfile, "-l", "stderr"}
				if program == programOfC {
					args = append(args, "-u", "root")
				}
				p := launch(t, command(program, nil, args...))
				wire.Await(t, program+" -L "+form+" listens, or has ended", func() bool { return accepts("127.0.0.1:"+port) || p.isDone() })
				if p.isDone() && !strings.Contains(p.stderr.String(), "already in use") {
					t.Fatalf("%s -L %s says %q", program, form, &p.stderr)
				}
				return p.isDone()
			})
		}
	}
}

// The port comes from a variable or a configuration file, which can be named in several ways.
func TestPortOfC(t *testing.T) {
	t.Parallel()
	program, dir := gearmand(t), t.TempDir()
	for _, way := range []string{"GEARMAND_PORT", "--config-file", "--config-file=", "@", "key = value"} {
		onFreePort(t, func(port string) bool {
			conf, env := filepath.Join(dir, "conf"), []string(nil)
			args := []string{"-L", "127.0.0.1", "-l", "stderr", "-P", filepath.Join(dir, "pid")}
			text := "# the port\n--port=" + port + "\n"
			switch way {
			case "GEARMAND_PORT":
				env = []string{"GEARMAND_PORT=" + port}
			case "--config-file":
				args = append(args, "--config-file", conf)
			case "@":
				args = append(args, "@"+conf)
			case "key = value":
				text = "port = " + port + "\n"
				fallthrough
			default:
				args = append(args, "--config-file="+conf)
			}
			if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			p := launch(t, command(program, env, args...))
			wire.Await(t, "it listens, or has ended", func() bool { return accepts("127.0.0.1:"+port) || p.isDone() })
			if p.isDone() {
				if !strings.Contains(p.stderr.String(), "already in use") {
					t.Fatalf("%s: says %q", way, &p.stderr)
				}
				return true
			}
			p.cmd.Process.Signal(syscall.SIGTERM)
			if r := p.wait(); r.code != 0 || r.stdout+r.stderr != "" {
				t.Errorf("%s: exit status %d, prints %q, says %q", way, r.code, r.stdout, r.stderr)
			}
			return false
		})
	}
	// In Kubernetes a service called "gearmand" sets the variable to something else. The server starts
	// anyway, on 4730 or the given port.
	pidfile, kubernetes := filepath.Join(dir, "pid2"), []string{"GEARMAND_PORT=tcp://10.0.0.1:4730"}
	p := launch(t, command(program, kubernetes, "-p", "0", "-l", "stderr", "-P", pidfile))
	wire.Await(t, "there is a pid file", func() bool {
		_, err := os.Stat(pidfile)
		return err == nil
	})
	p.cmd.Process.Signal(syscall.SIGTERM)
	if r := p.wait(); r.code != 0 {
		t.Errorf("exit status %d, says %q", r.code, r.stderr)
	}
	r := launch(t, command(program, kubernetes, "--check-args")).wait()
	const warning = "gearmand: ignoring environment variable GEARMAND_PORT=tcp://10.0.0.1:4730: not a port\n"
	if r.code != 0 || r.stderr != warning {
		t.Errorf("exit status %d, says %q, want %q", r.code, r.stderr, warning)
	}
	if r := launch(t, command(program, []string{"GEARMAND_PORT=nonsense"}, "-l", "none")).wait(); r.code != 1 {
		t.Errorf("exit status %d, says %q", r.code, r.stderr)
	}
}

// Options about the process have effects that can be seen from outside.
func TestProcessOptions(t *testing.T) {
	t.Parallel()
	program := gearmand(t)
	p, addr, _ := serving(t, program, "--job-handle-prefix=ABC", "-f", "300", "--keepalive", "--keepalive-idle=1000", "-t", "3")
	c := wire.Dial(t, addr)
	if handle := c.Submit(codec.SubmitJobBg, "f", "", ""); !strings.HasPrefix(handle, "ABC:") {
		t.Errorf("handle %q", handle)
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(limits)) {
		if rest, ok := strings.CutPrefix(line, "Max open files"); ok && strings.Fields(rest)[0] != "300" {
			t.Errorf("limits: %s", line)
		}
	}
	if left := keepaliveIn(t, c.Conn); left < 900*time.Second || left > 1000*time.Second {
		t.Errorf("keepalive comes in %v, want nearly 1000 s", left)
	}
	wire.Await(t, "three loops are logged", func() bool { return strings.Contains(p.stderr.String(), "loops=3") })
	// Without keepalive options Gearloop's own apply: it finds out about peers that are gone.
	_, addr, _ = serving(t, program)
	c = wire.Dial(t, addr)
	c.Sync()
	if left := keepaliveIn(t, c.Conn); left <= 0 || left > 90*time.Second {
		t.Errorf("keepalive comes in %v, want it within 90 s", left)
	}
}

// keepaliveIn returns the time until the server's side of a connection probes the peer, or 0 if it never
// does.
func keepaliveIn(t *testing.T, c net.Conn) time.Duration {
	t.Helper()
	text, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	name := func(a net.Addr) string {
		tcp := a.(*net.TCPAddr)
		ip := tcp.IP.To4()
		return fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], tcp.Port)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 6 || f[1] != name(c.RemoteAddr()) || f[2] != name(c.LocalAddr()) {
			continue
		}
		timer, when, _ := strings.Cut(f[5], ":")
		if timer != "02" { // the timer of keepalive
			return 0
		}
		ticks, err := strconv.ParseInt(when, 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		return time.Duration(ticks) * 10 * time.Millisecond
	}
	t.Fatalf("no connection %v-%v", c.LocalAddr(), c.RemoteAddr())
	return 0
}

// With --coredump a fault ends the process by a signal, which makes the kernel write a core file. Without,
// the process has an exit status. No core file is written here, because its size is limited to 0.
func TestCoredump(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"", "--coredump"} {
		dir := t.TempDir()
		pidfile := filepath.Join(dir, "pid")
		script := `ulimit -c 0 && cd "$1" && shift && exec "$@"`
		all := append([]string{"-c", script, "sh", dir, gearmand(t), "-p", "0", "-P", pidfile, "-l", "stderr"},
			strings.Fields(args)...)
		p := launch(t, command("/bin/sh", nil, all...))
		wire.Await(t, "there is a pid file", func() bool {
			_, err := os.Stat(pidfile)
			return err == nil
		})
		p.cmd.Process.Signal(syscall.SIGABRT)
		p.wait()
		ended := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
		if ended.Signaled() != (args != "") || ended.ExitStatus() == 0 {
			t.Errorf("%q: %v", args, p.cmd.ProcessState)
		}
	}
}
