package clienttest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"gearloop/test/peers"
	"gearloop/test/texts"
)

// result is the outcome of a program that has ended.
type result struct {
	stdout, stderr string
	code           int
}

// command returns a command that dies with the test, including its children.
func command(ctx context.Context, argv []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	peers.BindToTest(cmd)
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = deadline
	return cmd
}

// run runs a program to its end, with text on its standard input.
func run(t *testing.T, stdin string, argv ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	cmd := command(ctx, argv)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if ctx.Err() != nil || err != nil && !errors.As(err, &exit) {
		t.Fatalf("%q: %v\nstdout: %s\nstderr: %s", argv, errors.Join(ctx.Err(), err), out.String(), errs.String())
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// want fails the test unless the program ended well and printed these lines.
func (r result) want(t *testing.T, lines ...string) {
	t.Helper()
	compare(t, "", r.stdout, lines)
	if r.code != 0 {
		t.Errorf("exit code %d", r.code)
	}
	if t.Failed() {
		t.Fatalf("stderr: %s", r.stderr)
	}
}

func compare(t *testing.T, what, got string, lines []string) {
	t.Helper()
	want := strings.Join(lines, "\n")
	if want != "" {
		want += "\n"
	}
	if got = anonymous(got); got != want {
		t.Errorf("%sgot:\n%swant:\n%s", what, got, want)
	}
}

var handle = regexp.MustCompile(`(\S+//)?H:[^\s:]+:[0-9]+`)

// anonymous replaces every valid job handle by H.
func anonymous(text string) string { return handle.ReplaceAllString(text, "H") }

// process is a program that runs during the test.
type process struct {
	argv  []string
	pid   int
	lines chan string // what it prints, closed at the end of its output
	stdin io.WriteCloser
	done  chan struct{} // closed once it was waited for
	cmd   *exec.Cmd

	stderr texts.Buffer
}

// launch starts a program and ends it with the test.
func launch(t *testing.T, argv ...string) *process {
	t.Helper()
	p := &process{argv: argv, lines: make(chan string, 4096), done: make(chan struct{})}
	p.cmd = command(context.Background(), argv)
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.pid = p.cmd.Process.Pid
	go func() {
		lines := bufio.NewReader(out)
		for {
			line, err := lines.ReadString('\n')
			if line != "" {
				p.lines <- strings.TrimSuffix(line, "\n")
			}
			if err != nil {
				break
			}
		}
		close(p.lines)
		p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(p.kill)
	return p
}

func (p *process) errors() string { return p.stderr.String() }

// kill ends the program and its children at once.
func (p *process) kill() {
	select {
	case <-p.done:
	default:
		syscall.Kill(-p.pid, syscall.SIGKILL)
		<-p.done
	}
}

// line returns the next line that the program prints.
func (p *process) line(t *testing.T) string {
	t.Helper()
	select {
	case line, ok := <-p.lines:
		if !ok {
			<-p.done
			t.Fatalf("%q ended with code %d\nstderr: %s", p.argv, p.cmd.ProcessState.ExitCode(), p.errors())
		}
		return line
	case <-time.After(deadline):
		t.Fatalf("%q prints nothing\nstderr: %s", p.argv, p.errors())
	}
	return ""
}

// want fails the test unless these are the next lines that the program prints.
func (p *process) want(t *testing.T, lines ...string) {
	t.Helper()
	for i, want := range lines {
		if got := anonymous(p.line(t)); got != want {
			t.Fatalf("%q: line %d of %q is %q\nstderr: %s", p.argv, i+1, lines, got, p.errors())
		}
	}
}

// end fails the test unless the program prints nothing more and ends with code.
func (p *process) end(t *testing.T, code int) {
	t.Helper()
	select {
	case line, ok := <-p.lines:
		if ok {
			t.Fatalf("%q: further line %q\nstderr: %s", p.argv, line, p.errors())
		}
		<-p.done
	case <-time.After(deadline):
		t.Fatalf("%q does not end\nstderr: %s", p.argv, p.errors())
	}
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("%q ended with code %d, want %d\nstderr: %s", p.argv, got, code, p.errors())
	}
}
