package systest

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"gearloop/codec"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// install runs make install with further arguments and returns the directory that stands for /.
func install(t *testing.T, target string, args ...string) (root string) {
	t.Helper()
	root = t.TempDir()
	all := append([]string{"-C", "../..", target, "DESTDIR=" + root, "BIN=" + filepath.Join(t.TempDir(), "gearloop"),
		"TRIM="}, args...) // nothing needs compiling that other tests have not compiled
	cmd := exec.Command("make", all...)
	// Only files that exist are used: make test may run with flags of its own.
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "MAKE") && !strings.HasPrefix(v, "MFLAGS") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make %s: %v\n%s", target, err, out)
	}
	return root
}

// The installed program needs no other file, neither a library nor an interpreter. As root the test runs it
// with an empty directory as /: there it serves, stores jobs, becomes a user and knows the world's time
// zones.
func TestNoOtherFile(t *testing.T) {
	t.Parallel()
	root := install(t, "install-gearmand", "PREFIX=/usr")
	program := filepath.Join(root, "usr/bin/gearloop")
	if link, err := filepath.EvalSymlinks(filepath.Join(root, "usr/sbin/gearmand")); err != nil || link != program {
		t.Errorf("gearmand is a link to %s, %v", link, err)
	}
	if runtime.GOOS == "linux" {
		file, err := elf.Open(program)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		libraries, err := file.ImportedLibraries()
		if err != nil || len(libraries) > 0 {
			t.Errorf("needs %v, %v", libraries, err)
		}
		for _, p := range file.Progs {
			if p.Type == elf.PT_INTERP {
				t.Error("needs an interpreter")
			}
		}
	}
	out, err := exec.Command(program, "version").Output()
	if !regexp.MustCompile(`^gearloop \d+\.\d+\.\d+ \((revision [0-9a-f]{12}(-dirty)?, )?go`).Match(out) || err != nil {
		t.Errorf("prints %q, %v", out, err)
	}
	if os.Getuid() != 0 {
		return
	}
	if err := os.Mkdir(filepath.Join(root, "data"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(root, "data"), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	cmd := command("/usr/bin/gearloop", []string{"TZ=Asia/Kolkata"}, "serve", "--listen", "localhost:0", "--listen", "unix:/data/socket",
		"--data-dir", "/data/jobs", "--user", "65534:65534", "--pidfile", "/data/pid")
	cmd.SysProcAttr.Chroot, cmd.Dir = root, "/"
	p := launch(t, cmd)
	wire.Await(t, "it listens", func() bool { return strings.Count(p.stdout.String(), "\n") == 2 || p.isDone() })
	addr, _, _ := strings.Cut(strings.TrimPrefix(p.stdout.String(), "listening on "), "\n")
	if addr == "" {
		t.Fatalf("ended: %s", &p.stderr)
	}
	c := wire.Dial(t, addr)
	handle := c.Submit(codec.SubmitJobBg, "f", "", "x")
	c.Send(codec.CanDo, "f")
	if got, _ := c.Grab(); got != handle {
		t.Errorf("got %s, want %s", got, handle)
	}
	c.Send(codec.WorkComplete, handle, "")
	c.Sync()
	if info, err := os.Lstat(filepath.Join(root, "data/socket")); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket: %v, %v", info, err)
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	if r := p.wait(); r.code != 0 || !regexp.MustCompile(`time=\S+\+05:30 .*msg=ended`).MatchString(r.stderr) {
		t.Errorf("exit status %d, says %s", r.code, r.stderr)
	}
}

// Tests run the program as it is shipped, except when they look for races.
func TestProgramOfTests(t *testing.T) {
	if os.Getenv("GEARLOOP_TEST_RACE") == "1" || runtime.GOOS != "linux" {
		return
	}
	file, err := elf.Open(peers.Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if libraries, err := file.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("needs %v, %v", libraries, err)
	}
}
