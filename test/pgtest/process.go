package pgtest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// output keeps what a program writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Tool returns the path of a program of PostgreSQL: of the newest that Debian's packages have installed, otherwise the one
// in PATH.
func Tool(name string) (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) == 0 {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
		return "", fmt.Errorf("there is no %s: install PostgreSQL (make test-deps does)", name)
	}
	slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
	return found[len(found)-1], nil
}

func version(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return n
}

// command makes a command of the server. PostgreSQL refuses root, so it runs as postgres then.
func command(wrap []string, name string, args ...string) (*exec.Cmd, error) {
	uid, gid, err := owner()
	if err != nil {
		return nil, err
	}
	argv := append([]string{name}, args...)
	if len(wrap) > 0 {
		become := []string{"setpriv", "--pdeathsig", "QUIT", "--reuid", fmt.Sprint(uid), "--regid", fmt.Sprint(gid), "--clear-groups"}
		argv = slices.Concat(wrap, become, argv)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if os.Getuid() == 0 && len(wrap) == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: gid}
	}
	return cmd, nil
}

// owner returns who runs servers.
func owner() (uid, gid uint32, err error) {
	if os.Getuid() != 0 {
		return uint32(os.Getuid()), uint32(os.Getgid()), nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return 0, 0, err
	}
	number := func(text string) uint32 {
		n, _ := strconv.ParseUint(text, 10, 32)
		return uint32(n)
	}
	return number(u.Uid), number(u.Gid), nil
}

// TempDir makes a temporary directory that belongs to who runs servers.
func TempDir(prefix string) (string, error) {
	dir, err := os.MkdirTemp("", prefix)
	if err != nil {
		return "", err
	}
	uid, gid, err := owner()
	if err == nil {
		err = os.Chown(dir, int(uid), int(gid))
	}
	if err != nil {
		os.RemoveAll(dir)
		return "", err
	}
	return dir, nil
}

// spawn starts a command that ends, by a signal, with this process, whatever that ends by. done is closed when the
// command has ended. Linux takes the thread that started a command for its parent. On other systems a command outlives a
// process that is killed.
func spawn(cmd *exec.Cmd, signal syscall.Signal) (done chan struct{}, err error) {
	dieWithParent(cmd, signal)
	cmd.SysProcAttr.Setpgid = true // Ctrl-C reaches it through this process only
	done = make(chan struct{})
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(done)
		}
	}()
	return done, <-started
}

func killTree(pid int) {
	for _, child := range children(pid) {
		_ = syscall.Kill(child, syscall.SIGSTOP)
		killTree(child)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
}

// freeMemory removes the piece of System V memory that a killed server leaves; dir is that of its data.
func freeMemory(dir string) {
	lock, err := os.ReadFile(filepath.Join(dir, "postmaster.pid"))
	if err != nil {
		return
	}
	lines := strings.Split(string(lock), "\n")
	if len(lines) < 7 {
		return
	}
	if fields := strings.Fields(lines[6]); len(fields) == 2 {
		_ = exec.Command("ipcrm", "-m", fields[1]).Run()
	}
}
