package clienttest

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"gearloop/test/await"
)

// gate is a named pipe that a job of the functions hold and progress reads.
type gate struct {
	path string
	pipe *os.File
}

func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{path: filepath.Join(t.TempDir(), "gate")}
	if err := syscall.Mkfifo(g.path, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if g.pipe != nil {
			g.pipe.Close()
		}
	})
	return g
}

// awaitJob waits until a worker is doing the job.
func (g *gate) awaitJob(t *testing.T) {
	t.Helper()
	var err error
	await.UntilSaid(t, func() bool {
		// Without a reader the open fails at once.
		var fd int
		fd, err = syscall.Open(g.path, syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
		if err == nil {
			g.pipe = os.NewFile(uintptr(fd), g.path)
		}
		return err == nil
	}, func() string { return fmt.Sprintf("no job at the gate: %v", err) })
}

// desert gives up the job that awaitJob saw and whose worker has gone. The next job waits at the gate again.
func (g *gate) desert() {
	g.pipe.Close()
	g.pipe = nil
}

// release lets the job that awaitJob saw finish with text as its result.
func (g *gate) release(t *testing.T, text string) {
	t.Helper()
	if g.pipe == nil {
		g.awaitJob(t)
	}
	if _, err := g.pipe.WriteString(text); err != nil {
		t.Fatal(err)
	}
	g.pipe.Close()
	g.pipe = nil
}
