package systest

import (
	"flag"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gearloop/test/peers"
	"gearloop/test/texts"
	"gearloop/test/wire"
)

// TestMain runs more tests in parallel than there are cores, because they mostly wait.
func TestMain(m *testing.M) {
	flag.Set("test.parallel", "8")
	flag.Parse() // one that is asked for wins
	os.Exit(m.Run())
}

// program is a Gearloop that a test starts itself where package peers does not fit: the program ends by
// itself, or nobody reads its output.
type program struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr texts.Buffer
	done           chan struct{} // closed once the process has been waited for
}

// result is what is left of a program that has ended.
type result struct {
	stdout, stderr string
	code           int // -1 after a signal
}

// command returns the command that runs the program at path, killed when the test process dies. Of the
// environment it gets only env and what does not configure a server.
func command(path string, env []string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "GEARLOOP_") && !strings.HasPrefix(v, "GEARMAND_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, env...)
	peers.BindToTest(cmd)
	// A daemon that holds the pipes open must not make Wait block.
	cmd.WaitDelay = wire.Limit
	return cmd
}

// launch starts a command and captures its output unless that is redirected. The process and its children are
// killed when the test ends.
func launch(t *testing.T, cmd *exec.Cmd) *program {
	t.Helper()
	p := &program{t: t, cmd: cmd, done: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = &p.stdout
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &p.stderr
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // its process group
		<-p.done
	})
	return p
}

// wait waits until the program has ended.
func (p *program) wait() result {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(wire.Limit):
		p.t.Fatalf("%q is still running\n%s%s", p.cmd.Args, &p.stdout, &p.stderr)
	}
	return result{p.stdout.String(), p.stderr.String(), p.cmd.ProcessState.ExitCode()}
}

// run runs the program to its end.
func run(t *testing.T, env []string, args ...string) result {
	t.Helper()
	return launch(t, command(peers.Binary(t), env, args...)).wait()
}

// ended wants the server to have ended with a status.
func ended(t *testing.T, s *peers.Server, status int) {
	t.Helper()
	code, err := s.Wait(wire.Limit)
	if err != nil {
		t.Fatalf("%v\n%s", err, s.Stderr())
	}
	if code != status {
		t.Errorf("exit status %d; want %d\n%s", code, status, s.Stderr())
	}
}

// terminate sends SIGTERM to the process whose number is in a pid file, and returns the number.
func terminate(t *testing.T, pidfile string) int {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(texts.File(t, pidfile)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	return pid
}

// awaitLog waits until a server has logged a text.
func awaitLog(t *testing.T, s *peers.Server, text string) {
	t.Helper()
	wire.Await(t, "a log line with "+text, func() bool { return strings.Contains(s.Stderr(), text) })
}

// count returns the number of objects of a kind in the server, from its text command gladiator.
func count(admin *wire.Conn, kind string) string {
	for _, line := range admin.Table("gladiator all") {
		if number, name, _ := strings.Cut(strings.TrimSpace(line), " "); name == kind {
			return number
		}
	}
	return "none"
}

// each calls f for 0 to n-1 in several goroutines. Connections that f uses need wire.Aside.
func each(t *testing.T, goroutines, n int, f func(int)) {
	t.Helper()
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for i := g; i < n; i += goroutines {
				f(i)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
}
