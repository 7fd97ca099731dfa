// Command cluster shows several brokers that share a database, on this machine: a PostgreSQL primary with two
// synchronous standbys, and two brokers. Everything is in a temporary directory, on ports of its own, and
// ends with Ctrl-C.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"gearloop/test/peers"
	"gearloop/test/pgtest"
)

func main() {
	program := flag.String("program", "", "gearloop `program` to run; by default it is built")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, *program, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// run starts everything, and ends it when ctx does.
func run(ctx context.Context, program string, in io.Reader, terminal io.Writer) (err error) {
	// The system ends the brokers with the thread that started them, which is this one.
	runtime.LockOSThread()
	out := &lines{to: terminal}
	if program == "" {
		program, err = peers.Build()
	} else {
		program, err = filepath.Abs(program)
	}
	if err != nil {
		return err
	}
	out.say("starting a primary and two standbys ...")
	db, err := pgtest.LaunchCluster(pgtest.Options{Durable: true}, pgtest.Rule)
	if err != nil {
		return err
	}
	defer db.End()
	if ctx.Err() != nil {
		return nil
	}
	url := db.URL("")
	brokers := []*broker{{name: "a"}, {name: "b"}}
	defer func() {
		for _, b := range brokers {
			b.end(syscall.SIGTERM)
		}
		out.say("everything has ended")
	}()
	for _, b := range brokers {
		b.program, b.url, b.out = program, url, out
		if err := b.start(); err != nil {
			return err
		}
	}
	out.say(guide(program, url, brokers, db))
	asked := make(chan string)
	go readLines(in, asked)
	for {
		select {
		case <-ctx.Done():
			return nil
		case line := <-asked:
			for _, b := range brokers {
				if line != b.name {
					continue
				}
				if !b.over() {
					out.say("broker " + b.name + " runs")
				} else if err := b.start(); err != nil {
					out.say(err.Error())
				} else {
					out.say(fmt.Sprintf("broker %s runs again, as process %d", b.name, b.cmd.Process.Pid))
				}
			}
		}
	}
}

// readLines passes lines on until there are none any more.
func readLines(in io.Reader, lines chan<- string) {
	for s := bufio.NewScanner(in); s.Scan(); {
		lines <- strings.TrimSpace(s.Text())
	}
}

func guide(program, url string, brokers []*broker, db *pgtest.Cluster) string {
	a, b := brokers[0], brokers[1]
	both := fmt.Sprintf("-s %s -s %s", a.addr, b.addr)
	return fmt.Sprintf(`
Two brokers share one durable queue: a on %[1]s (process %[2]d) and b on %[3]s (process %[4]d).
In other terminals:

  alias gearloop=%[5]s
  for n in $(seq 10); do echo "job $n" | gearloop submit %[6]s --background show; done
  gearloop work %[6]s show -- sh -c 'cat >&2'   # a worker knows all brokers
  gearloop cluster status '%[7]s'

Kill a broker while jobs wait at it, and start the worker after that. Within some 12 seconds the other one goes on with them:

  for n in $(seq 10); do echo "job $n" | gearloop submit -s %[1]s --background show; done
  kill -9 %[2]d
  gearloop cluster status '%[7]s'

Type a or b and Enter here to start a broker that has ended. The primary is process %[8]d, its standbys are %[9]d and %[10]d.
Ctrl-C ends everything.
`, a.addr, a.cmd.Process.Pid, b.addr, b.cmd.Process.Pid, program, both, url, db.Nodes[0].PID(), db.Nodes[1].PID(), db.Nodes[2].PID())
}

// lines writes whole lines of several programs.
type lines struct {
	mu sync.Mutex
	to io.Writer
}

func (l *lines) say(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(l.to, text)
}

// broker is one broker, running or not.
type broker struct {
	name, program, url string
	addr               string // once known it stays
	out                *lines
	cmd                *exec.Cmd
	done               chan struct{}
}

// startLimit is how long a broker may take until it listens.
const startLimit = time.Minute

func (b *broker) start() error {
	listen := b.addr
	if listen == "" {
		// A port that no outgoing connection takes before the broker is started again.
		port, err := peers.FreePort()
		if err != nil {
			return err
		}
		listen = fmt.Sprint("127.0.0.1:", port)
	}
	b.cmd = exec.Command(b.program, "serve", "--listen", listen, "--store", b.url, "--node", b.name)
	// Ctrl-C reaches it through this program only, and it does not outlive it.
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	logs, err := b.cmd.StderrPipe()
	if err != nil {
		return err
	}
	says, err := b.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := b.cmd.Start(); err != nil {
		return err
	}
	cmd, done, listens := b.cmd, make(chan struct{}), make(chan string, 1)
	b.done = done
	var readers sync.WaitGroup
	readers.Go(func() {
		for s := bufio.NewScanner(logs); s.Scan(); {
			b.out.say(b.name + ": " + s.Text())
		}
	})
	readers.Go(func() {
		for s := bufio.NewScanner(says); s.Scan(); {
			if addr, ok := strings.CutPrefix(s.Text(), "listening on "); ok {
				listens <- addr
			}
		}
	})
	go func() {
		readers.Wait()
		_ = cmd.Wait()
		b.out.say(fmt.Sprintf("broker %s has ended: %v", b.name, cmd.ProcessState))
		close(done)
	}()
	select {
	case b.addr = <-listens:
		return nil
	case <-done:
		return fmt.Errorf("broker %s has ended before it listened", b.name)
	case <-time.After(startLimit):
		return fmt.Errorf("broker %s does not listen", b.name)
	}
}

// over reports whether the broker does not run.
func (b *broker) over() bool {
	select {
	case <-b.done:
		return true
	default:
		return false
	}
}

// end ends the broker if it runs: by a signal, and after a while by another.
func (b *broker) end(signal syscall.Signal) {
	if b.cmd == nil || b.cmd.Process == nil {
		return
	}
	for range 3 {
		_ = b.cmd.Process.Signal(signal)
		select {
		case <-b.done:
			return
		case <-time.After(5 * time.Second):
		}
	}
	_ = b.cmd.Process.Kill()
	<-b.done
}
