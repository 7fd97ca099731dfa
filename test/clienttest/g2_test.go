package clienttest

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"gearloop/test/peers"
)

// g2 holds the paths of the programs under goclients.
type g2 struct{ client, worker string }

func (g g2) startWorker(t *testing.T, s *target, args ...string) *process {
	t.Helper()
	if !s.extended() {
		// Its worker uses GRAB_JOB_UNIQ, which the Perl server does not know.
		return perlWorker(t, s, args...)
	}
	return launch(t, append([]string{g.worker, s.Addr}, args...)...)
}

func (g g2) args(s *target, scenario ...string) []string {
	return append([]string{g.client, s.Addr}, scenario...)
}

// buildG2 builds the programs; they last as long as the test.
func buildG2(t *testing.T) g2 {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", dir, "./...")
	build.Dir = "goclients"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building goclients: %v\n%s", err, out)
	}
	return g2{filepath.Join(dir, "client"), filepath.Join(dir, "worker")}
}

// TestG2 builds the programs once for all tests with the Go library.
func TestG2(t *testing.T) {
	t.Parallel()
	g := buildG2(t)
	for name, test := range map[string]func(*testing.T, *target, g2){
		"Foreground":    testG2Foreground,
		"Fail":          testG2Fail,
		"Exception":     testG2Exception,
		"Data":          testG2Data,
		"Properties":    testG2Properties,
		"Background":    testG2Background,
		"HighPriority":  testG2HighPriority,
		"Priorities":    testG2Priorities,
		"Ping":          testG2Ping,
		"Pool":          testG2Pool,
		"Large":         testG2Large,
		"Later":         testG2Later,
		"Schedule":      testG2Schedule,
		"WorkerID":      testG2WorkerID,
		"WorkerTimeout": testG2WorkerTimeout,
	} {
		t.Run(name, func(t *testing.T) {
			eachServer(t, func(t *testing.T, s *target) { test(t, s, g) })
		})
	}
}

func testG2Foreground(t *testing.T, s *target, g g2) {
	client := launch(t, g.args(s, "tasks", "normal:reverse:abc", "normal:steps:x", "high:echo:y", "normal:flaky:0")...)
	client.want(t, "submitted")
	g.startWorker(t, s, "reverse", "steps", "echo", "flaky")
	client.want(t, "reverse complete cba",
		"steps status 1/3", "steps status 2/3", "steps status 3/3", "steps complete stepped",
		"echo complete y", "flaky complete worked")
	client.end(t, 0)
}

func testG2Fail(t *testing.T, s *target, g g2) {
	client := launch(t, g.args(s, "tasks", "normal:fail:x", "normal:echo:y")...)
	client.want(t, "submitted")
	g.startWorker(t, s, "fail", "echo")
	client.want(t, "fail fail", "echo complete y")
	client.end(t, 0)
	s.await(t, "fail", function{workers: 1})
}

// The client cannot ask for exceptions, so it learns of the failure only; g2's own worker would send nothing
// but the exception.
func testG2Exception(t *testing.T, s *target, g g2) {
	client := launch(t, g.args(s, "tasks", "normal:throw:x", "normal:echo:y")...)
	client.want(t, "submitted")
	perlWorker(t, s, "throw", "echo")
	client.want(t, "throw fail", "echo complete y")
	client.end(t, 0)
}

func testG2Data(t *testing.T, s *target, g g2) {
	s.needExtended(t)
	client := launch(t, g.args(s, "tasks", "normal:chunks:x", "low:careful:y")...)
	client.want(t, "submitted")
	g.startWorker(t, s, "chunks", "careful")
	client.want(t, "chunks data one", "chunks data two", "chunks data three", "chunks complete chunked",
		"careful warning careful y", "careful complete warned")
	client.end(t, 0)
}

func testG2Properties(t *testing.T, s *target, g g2) {
	s.needExtended(t)
	client := launch(t, g.args(s, "tasks", "normal:about:x")...)
	client.want(t, "submitted")
	g.startWorker(t, s, "about")
	client.want(t, "about complete about H unique true")
	client.end(t, 0)
}

func testG2Background(t *testing.T, s *target, g g2) {
	gate := newGate(t)
	client := launch(t, g.args(s, "background", gate.path)...)
	client.want(t, "handle H", "state queued")
	g.startWorker(t, s, "progress")
	client.want(t, "state running 3/7")
	gate.release(t, "nobody listens")
	client.want(t, "state unknown")
	client.end(t, 0)
}

func testG2HighPriority(t *testing.T, s *target, g g2) {
	client := launch(t, g.args(s, "tasks", "normal:note:a", "high:note:b", "normal:note:c")...)
	client.want(t, "submitted")
	g.startWorker(t, s, "note").want(t, "note b", "note a", "note c")
	client.want(t, "note complete noted a", "note complete noted b", "note complete noted c")
	client.end(t, 0)
}

func testG2Priorities(t *testing.T, s *target, g g2) {
	s.needExtended(t)
	run(t, "", g.args(s, "dispatch", "low:a", "normal:b", "high:c")...).want(t, "submitted")
	s.await(t, "note", function{total: 3})
	g.startWorker(t, s, "note").want(t, "note c", "note b", "note a")
	s.await(t, "note", function{workers: 1})
}

func testG2Ping(t *testing.T, s *target, g g2) {
	run(t, "", g.args(s, "ping")...).want(t, "ping true", "ping true")
}

func testG2Pool(t *testing.T, first *target, g g2) {
	second := first.another(t)
	run(t, "", g.client, first.Addr+","+second.Addr, "pool").want(t, "ping hello", "ping hello")
}

func testG2Large(t *testing.T, s *target, g g2) {
	client := launch(t, g.args(s, "large", "6000000", "150000")...)
	client.want(t, "submitted")
	g.startWorker(t, s, "digest", "echo")
	client.want(t, "digest true", "echo true")
	client.end(t, 0)
}

func testG2Later(t *testing.T, s *target, g g2) {
	s.needExtended(t)
	if s.Kind == peers.C {
		t.Skip("gearmand does not wake a sleeping worker when the moment comes")
	}
	worker := g.startWorker(t, s, "note")
	s.awaitWorkers(t, 1, "note")
	due := time.Now().Add(time.Second).Truncate(time.Second).Add(time.Second)
	run(t, "", g.args(s, "later", fmt.Sprint(due.Unix()), "epoch")...).want(t, "accepted H")
	worker.want(t, "note epoch")
	if early := time.Until(due); early > 0 {
		t.Fatalf("the job ran %v too early", early)
	}
}

// 1 January is not today, or it is already past midnight.
func testG2Schedule(t *testing.T, s *target, g g2) {
	if s.reference {
		t.Skip("no reference server has SUBMIT_JOB_SCHED")
	}
	run(t, "", g.args(s, "schedule", "0 0 1 1 *", "new year")...).want(t, "accepted H")
	s.await(t, "note", function{total: 1})
}

func testG2WorkerID(t *testing.T, s *target, g g2) {
	s.needExtended(t)
	g.startWorker(t, s, "echo")
	s.awaitClient(t, "go-g2", "echo")
}

// The worker checks its time limit itself and reports the failure. In CAN_DO_TIMEOUT it sends the seconds as
// four bytes instead of decimal digits, which not every server understands.
func testG2WorkerTimeout(t *testing.T, s *target, g g2) {
	s.needExtended(t)
	gate := newGate(t)
	client := launch(t, g.args(s, "tasks", "normal:hold:"+gate.path)...)
	client.want(t, "submitted")
	g.startWorker(t, s, "hold@1", "echo")
	gate.awaitJob(t)
	client.want(t, "hold fail")
	client.end(t, 0)
	gate.release(t, "too late")
	s.await(t, "hold", function{workers: 1})
}
