//go:build linux

package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"gearloop/test/await"
	"gearloop/test/peers"
)

// What is printed can be typed: jobs are submitted and done, a broker that was killed is started again, and
// nothing is left in the end.
func TestRun(t *testing.T) {
	program := peers.Binary(t)
	t.Setenv("TMPDIR", t.TempDir())
	if err := os.Chmod(os.TempDir(), 0o755); err != nil {
		t.Fatal(err)
	}
	for dir := os.TempDir(); dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) { // PostgreSQL runs as another user
		_ = os.Chmod(dir, 0o755)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	in, typed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer typed.Close()
	var out buffer
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, program, in, &out) }()
	said := func(text string) {
		t.Helper()
		// The databases and the brokers have limits of their own.
		for limit := time.Now().Add(5 * await.Limit); !strings.Contains(out.String(), text); time.Sleep(time.Millisecond) {
			if len(ended) > 0 {
				t.Fatalf("it has ended: %v\n%s", <-ended, &out)
			}
			if time.Now().After(limit) {
				t.Fatalf("it does not say %s:\n%s", text, &out)
			}
		}
	}
	said("Ctrl-C ends everything.")
	for _, line := range strings.Split(out.String(), "\n") {
		line, isCommand := strings.CutPrefix(line, "  ")
		switch {
		case !isCommand:
		case strings.HasPrefix(line, "alias "): // the shell of the test has none
		case strings.HasPrefix(line, "gearloop work"):
			shell(t, program, strings.Replace(line, " show ", " --jobs 10 show ", 1))
		default:
			if text := shell(t, program, line); strings.Contains(line, "cluster status") && !strings.Contains(text, "a commit waits for: ANY 1 (s2,s3)") {
				t.Errorf("%s: %s", line, text)
			}
		}
	}
	said("broker a has ended: signal: killed")
	if _, err := typed.WriteString("a\n"); err != nil {
		t.Fatal(err)
	}
	said("broker a runs again")
	pids := regexp.MustCompile(`process (\d+)|are (\d+) and (\d+)`).FindAllStringSubmatch(out.String(), -1)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, match := range pids {
		for _, pid := range match[1:] {
			if _, err := os.Stat("/proc/" + pid); pid != "" && err == nil {
				t.Errorf("process %s is left", pid)
			}
		}
	}
	if left, _ := os.ReadDir(os.TempDir()); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// shell runs a line of the guide.
func shell(t *testing.T, program, line string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), await.Limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", strings.ReplaceAll(line, "gearloop ", program+" "))
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", line, err, text)
	}
	return string(text)
}
