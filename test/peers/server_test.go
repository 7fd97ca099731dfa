package peers

import (
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"gearloop/test/await"
)

var testLimit = await.Limit

// TestEveryKindStarts sends each server a text command that all of them have.
func TestEveryKindStarts(t *testing.T) {
	for _, kind := range []Kind{Gearloop, Perl, C} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			s := Start(t, kind)
			c, err := s.Dial()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(testLimit))
			if _, err := io.WriteString(c, "status\n"); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 2)
			if _, err := io.ReadFull(c, buf); err != nil || string(buf) != ".\n" {
				t.Fatalf("status of an empty server: %q, %v", buf, err)
			}
			if !s.Alive() {
				t.Fatal("the server answers but counts as dead")
			}
			s.Stop()
			s.Stop()
			if s.Alive() {
				t.Fatal("still alive after Stop")
			}
			if err := syscall.Kill(s.PID, 0); err == nil {
				t.Fatalf("process %d is still there", s.PID)
			}
		})
	}
}

func TestWaitGivesTheExitCode(t *testing.T) {
	s := Start(t, Perl)
	if code, err := s.Wait(10 * time.Millisecond); err == nil {
		t.Fatalf("Wait returned %d while the server runs", code)
	}
	c, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "shutdown\n"); err != nil {
		t.Fatal(err)
	}
	if code, err := s.Wait(testLimit); code != 0 || err != nil {
		t.Fatalf("Wait = %d, %v", code, err)
	}
}

func TestSignal(t *testing.T) {
	s := Start(t, Perl)
	if err := s.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code, err := s.Wait(testLimit); code != 128+int(syscall.SIGINT) || err != nil {
		t.Fatalf("Wait = %d, %v", code, err)
	}
	if err := s.Signal(syscall.SIGINT); err == nil {
		t.Fatal("a signal to an ended process was accepted")
	}
}

// TestArguments starts the Perl server with options it takes, and with one that
// makes it end with a message.
func TestArguments(t *testing.T) {
	s := Start(t, Perl, "--wakeup", "1")
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", s.PID))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(cmdline), "--wakeup\x001\x00") {
		t.Fatalf("command line %q", cmdline)
	}
	failed, err := startReference(Perl, Options{Args: []string{"--wakeup", "-2"}})
	if err == nil {
		failed.End()
		t.Fatal("--wakeup -2 was accepted")
	}
	if !strings.Contains(err.Error(), "Invalid value passed in wakeup option") {
		t.Fatalf("the error hides the reason: %v", err)
	}
}

// TestPortTaken makes sure that another listener on the port is not mistaken for the server.
func TestPortTaken(t *testing.T) {
	first := Start(t, Perl)
	var port int
	if _, err := fmt.Sscanf(first.Addr, "127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	argv, err := commandLine(Perl, port, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	second := newServer(Perl, argv, nil)
	if err := second.launch(); err != nil {
		t.Fatal(err)
	}
	if err := second.awaitPort(port); err == nil {
		second.kill()
		t.Fatal("two servers on one port")
	}
	if !strings.Contains(second.Stderr(), "Address already in use") {
		t.Fatalf("stderr: %s", second.Stderr())
	}
}

func TestTailIsBounded(t *testing.T) {
	var b tail
	line := strings.Repeat("x", 1023) + "\n"
	for range 4096 {
		b.Write([]byte(line))
	}
	b.Write([]byte("the end"))
	got := b.String()
	if len(got) > 2*tailLimit+len(line) || len(got) < tailLimit {
		t.Fatalf("%d bytes kept", len(got))
	}
	if !strings.HasSuffix(got, "\nthe end") {
		t.Fatal("the end is lost")
	}
}

func TestAnnouncements(t *testing.T) {
	a := newAnnouncements(3)
	io.WriteString(a, "hello\nlistening on 127.0.0.1:35")
	io.WriteString(a, "123\nlistening on [::]:1\n")
	select {
	case <-a.complete:
		t.Fatal("complete with two of three")
	default:
	}
	io.WriteString(a, "listening on unix:/run/x\n")
	<-a.complete
	want := "127.0.0.1:35123 [::1]:1 unix:/run/x"
	if got := strings.Join(a.addrs(), " "); got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	if a.String() != "hello\n" {
		t.Fatalf("other lines: %q", a.String())
	}
}
