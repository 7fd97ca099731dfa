package bench

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gearloop/internal/rounds"
	"gearloop/test/peers"
)

// startLimit is how long a server may take to listen.
const startLimit = 20 * time.Second

// ServerNames are the servers that Host.Start knows.
func ServerNames() []string {
	return []string{"floor", "gearloop", "gearloop-N (N loops)", "gearloop-N-all (N loops that always run)", "gearloop-c (its dialect c)", "c", "perl"}
}

// Host starts servers, and ends them when it is closed.
type Host struct {
	cleanups []func()
	dir      string
}

// NewHost returns a Host with a directory for what it builds.
func NewHost() (*Host, error) {
	dir, err := os.MkdirTemp("", "gearloop-bench-")
	h := &Host{dir: dir}
	h.atClose(func() { os.RemoveAll(dir) })
	return h, err
}

// Start starts a server by its name. A custom one is NAME=COMMAND LINE; it has to listen on a free port of
// its choice and to print "listening on ADDRESS". ErrMissing means that its package is not installed.
func (h *Host) Start(name string) (s rounds.Server, err error) {
	if custom, command, ok := strings.Cut(name, "="); ok {
		return h.launch(custom, strings.Fields(command))
	}
	kind, args := peers.Gearloop, []string(nil)
	switch name {
	case "gearloop":
	case "gearloop-c":
		args = []string{"--dialect", "c"}
	case "perl", "c":
		if kind, err = peers.ParseKind(name); err != nil {
			return s, err
		}
	case "floor":
		return h.startFloor()
	default:
		loops, ok := strings.CutPrefix(name, "gearloop-")
		loops, all := strings.CutSuffix(loops, "-all")
		if _, err := strconv.Atoi(loops); ok && err == nil {
			if args = []string{"--loops", loops}; all {
				args = append(args, "--min-loops", loops)
			}
			break
		}
		return s, fmt.Errorf("no server is called %q (there are: %s)", name, strings.Join(ServerNames(), ", "))
	}
	return h.StartWith(name, kind, args...)
}

// StartWith starts a server with further arguments, to be called by a name.
func (h *Host) StartWith(name string, kind peers.Kind, args ...string) (s rounds.Server, err error) {
	p, err := h.peer(kind, peers.Options{Args: args})
	if err != nil {
		return s, err
	}
	return rounds.Server{Name: name, Addr: p.Addr, PID: p.PID}, nil
}

// peer starts a server that Close ends.
func (h *Host) peer(kind peers.Kind, opts peers.Options) (*peers.Server, error) {
	p, err := peers.Launch(kind, opts)
	if err == nil {
		h.atClose(func() {
			if err := p.End(); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		})
	}
	return p, err
}

// ErrMissing is a server that is not installed.
var ErrMissing = peers.ErrMissing

// startFloor starts package floor, which it builds the first time.
func (h *Host) startFloor() (rounds.Server, error) {
	program := filepath.Join(h.dir, "floor")
	if _, err := os.Stat(program); err != nil {
		if out, err := exec.Command("go", "build", "-o", program, "gearloop/bench/floor").CombinedOutput(); err != nil {
			return rounds.Server{}, fmt.Errorf("building the floor: %w\n%s", err, out)
		}
	}
	return h.launch("floor", []string{program, "-listen", "127.0.0.1:0"})
}

// launch starts a program and waits until it says where it listens. Its standard input ends when this process
// does.
func (h *Host) launch(name string, argv []string) (rounds.Server, error) {
	if len(argv) == 0 {
		return rounds.Server{}, fmt.Errorf("no command for %s", name)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	var errs strings.Builder
	cmd.Stderr = &errs
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return rounds.Server{}, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return rounds.Server{}, err
	}
	if err := cmd.Start(); err != nil {
		return rounds.Server{}, err
	}
	address := make(chan string, 1)
	exited := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if a, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
				select {
				case address <- a:
				default:
				}
			}
		}
		cmd.Wait()
		close(exited)
	}()
	h.atClose(func() {
		stdin.Close()
		for range 3 {
			cmd.Process.Signal(syscall.SIGTERM)
			select {
			case <-exited:
				return
			case <-time.After(time.Second):
			}
		}
		cmd.Process.Kill()
		<-exited
	})
	select {
	case a := <-address:
		return rounds.Server{Name: name, Addr: a, PID: cmd.Process.Pid}, nil
	case <-exited:
		return rounds.Server{}, fmt.Errorf("%s has ended: %s", name, errs.String())
	case <-time.After(startLimit):
		return rounds.Server{}, fmt.Errorf("%s does not say where it listens", name)
	}
}

// Close ends all servers and removes what was built.
func (h *Host) Close() {
	for last := len(h.cleanups) - 1; last >= 0; last-- {
		f := h.cleanups[last]
		h.cleanups = h.cleanups[:last]
		f()
	}
}

// atClose has Close call f.
func (h *Host) atClose(f func()) { h.cleanups = append(h.cleanups, f) }
