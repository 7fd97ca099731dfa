package clienttest

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"gearloop/test/peers"
)

// nodeLibrary describes an npm package and its limitations.
type nodeLibrary struct {
	name string
	// newWorker: its worker asks for jobs with a packet that the Perl server does not know.
	newWorker bool
	// text: its worker treats every result as text.
	text bool
	// unfailing: its worker cannot send WORK_FAIL alone, and cannot send WORK_DATA to this server.
	unfailing bool
	// exceptional: its client always asks for exceptions.
	exceptional bool
	// textCommands: it supports some of the text commands.
	textCommands bool
}

var nodeLibraries = []nodeLibrary{
	{name: "gearman", textCommands: true},
	{name: "gearmanode", text: true},
	{name: "abraxas", newWorker: true, unfailing: true, exceptional: true, textCommands: true},
}

// eachNodeLibrary runs a test with each library, each on its own server.
func eachNodeLibrary(t *testing.T, test func(*testing.T, *target, nodeLibrary)) {
	t.Parallel()
	needNodePackages(t)
	for _, l := range nodeLibraries {
		t.Run(l.name, func(t *testing.T) {
			eachServer(t, func(t *testing.T, s *target) { test(t, s, l) })
		})
	}
}

func needNodePackages(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("testdata/node/node_modules"); err != nil {
		t.Fatalf("the npm packages are not installed (run make test-deps): %v", err)
	}
}

// worker starts the library's worker, or Perl's if the server does not support it.
func (l nodeLibrary) worker(t *testing.T, s *target, args ...string) *process {
	t.Helper()
	if l.newWorker && !s.extended() {
		return perlWorker(t, s, args...)
	}
	return launch(t, append([]string{"node", "testdata/node/worker.js", l.name, s.Addr}, args...)...)
}

func (l nodeLibrary) client(s *target, scenario ...string) []string {
	return append([]string{"node", "testdata/node/client.js", l.name, s.Addr}, scenario...)
}

func TestNodeForeground(t *testing.T) {
	eachNodeLibrary(t, func(t *testing.T, s *target, l nodeLibrary) {
		l.worker(t, s, "echo", "reverse")
		if l.text {
			run(t, "", l.client(s, "foreground")...).want(t, "echo hello", "reverse cba")
			return
		}
		run(t, "", l.client(s, "foreground", "binary")...).want(t, "echo hello", "reverse cba", "bytes intact")
	})
}

// Each library's client with Perl's worker, for bytes of all kinds.
func TestNodeClientBytes(t *testing.T) {
	eachNodeLibrary(t, func(t *testing.T, s *target, l nodeLibrary) {
		perlWorker(t, s, "echo", "reverse")
		run(t, "", l.client(s, "foreground", "binary")...).want(t, "echo hello", "reverse cba", "bytes intact")
	})
}

func TestNodeStatusUpdates(t *testing.T) {
	eachNodeLibrary(t, func(t *testing.T, s *target, l nodeLibrary) {
		l.worker(t, s, "steps")
		run(t, "", l.client(s, "one", "steps", "x")...).want(t,
			"steps created H", "steps status 33%", "steps status 67%", "steps status 100%", "steps complete stepped")
	})
}

func TestNodeFail(t *testing.T) {
	eachNodeLibrary(t, func(t *testing.T, s *target, l nodeLibrary) {
		if l.unfailing {
			perlWorker(t, s, "fail")
		} else {
			l.worker(t, s, "fail")
		}
		run(t, "", l.client(s, "one", "fail", "x")...).want(t, "fail created H", "fail fail ")
	})
}

func TestNodeException(t *testing.T) {
	eachNodeLibrary(t, func(t *testing.T, s *target, l nodeLibrary) {
		if l.newWorker && !s.extended() {
			t.Skip("not in Gearman::Server; Perl's worker would send the exception in a form of its own")
		}
		l.worker(t, s, "throw")
		run(t, "", l.client(s, "one", "throw", "x", "--exceptions")...).want(t,
			"throw created H", "throw exception thrown x")
	})
}

// A client that has not asked for exceptions learns of the failure only.
func TestNodeExceptionNotAskedFor(t *testing.T) {
	eachNodeLibrary(t, func(t *testing.T, s *target, l nodeLibrary) {
		if l.exceptional {
			t.Skip("it always asks for exceptions")
		}
		if s.dialect == "c" {
			unheard(t, s, l.client(s, "one", "throw", "x"), "throw created H")
			return
		}
		perlWorker(t, s, "throw")
		run(t, "", l.client(s, "one", "throw", "x")...).want(t, "throw created H", "throw fail ")
	})
}

func TestNodeData(t *testing.T) {
	eachNodeLibrary(t, func(t *testing.T, s *target, l nodeLibrary) {
		if !s.extended() {
			t.Skip("not in Gearman::Server")
		}
		if l.unfailing {
			// Its client joins the data to the result.
			perlWorker(t, s, "chunks")
			run(t, "", l.client(s, "one", "chunks", "x")...).want(t,
				"chunks created H", "chunks complete onetwothreechunked")
			return
		}
		l.worker(t, s, "chunks")
		run(t, "", l.client(s, "one", "chunks", "x")...).want(t,
			"chunks created H", "chunks data one", "chunks data two", "chunks data three", "chunks complete chunked")
	})
}

func TestNodeWarning(t *testing.T) {
	eachNodeLibrary(t, func(t *testing.T, s *target, l nodeLibrary) {
		if !s.extended() {
			t.Skip("not in Gearman::Server")
		}
		l.worker(t, s, "careful")
		run(t, "", l.client(s, "one", "careful", "x")...).want(t,
			"careful created H", "careful warning careful x", "careful complete warned")
	})
}

func TestNodeBackground(t *testing.T) {
	eachNodeLibrary(t, func(t *testing.T, s *target, l nodeLibrary) {
		g := newGate(t)
		client := launch(t, l.client(s, "background", g.path)...)
		client.want(t, "handle H", "state queued")
		l.worker(t, s, "progress")
		client.want(t, "state running 43%")
		g.release(t, "nobody listens")
		client.want(t, "state unknown")
		client.end(t, 0)
	})
}

func TestNodeHighPriority(t *testing.T) {
	eachNodeLibrary(t, func(t *testing.T, s *target, l nodeLibrary) {
		client := launch(t, l.client(s, "queue", "normal:a", "normal:b", "high:c")...)
		s.await(t, "note", function{total: 3})
		l.worker(t, s, "note").want(t, "note c", "note a", "note b")
		client.want(t, "noted a", "noted b", "noted c")
		client.end(t, 0)
	})
}

func TestNodePriorities(t *testing.T) {
	eachNodeLibrary(t, func(t *testing.T, s *target, l nodeLibrary) {
		if !s.extended() {
			t.Skip("not in Gearman::Server")
		}
		run(t, "", l.client(s, "queue_background", "low:a", "normal:b", "high:c")...).want(t, "queued")
		client := launch(t, l.client(s, "queue", "low:d", "high:e")...)
		s.await(t, "note", function{total: 5})
		worker := l.worker(t, s, "note")
		if s.dialect == "perl" {
			worker.want(t, "note e", "note c")
		} else {
			worker.want(t, "note c", "note e")
		}
		worker.want(t, "note b", "note a", "note d")
		client.want(t, "noted d", "noted e")
		client.end(t, 0)
	})
}

func TestNodeManyJobs(t *testing.T) {
	eachNodeLibrary(t, func(t *testing.T, s *target, l nodeLibrary) {
		for range 3 {
			l.worker(t, s, "echo")
		}
		s.awaitWorkers(t, 3, "echo")
		run(t, "", l.client(s, "many", "30")...).want(t, "many right")
	})
}

func TestNodeCoalescing(t *testing.T) {
	eachNodeLibrary(t, func(t *testing.T, s *target, l nodeLibrary) {
		client := launch(t, l.client(s, "coalesce", "key")...)
		s.await(t, "note", function{total: 1})
		s.awaitListeners(t, "key", 2)
		worker := l.worker(t, s, "note")
		// The two clients use two connections, so either may come first.
		arg := worker.line(t)[len("note "):]
		client.want(t, "noted "+arg, "noted "+arg)
		client.end(t, 0)
		s.await(t, "note", function{workers: 1})
	})
}

func TestNodePing(t *testing.T) {
	eachNodeLibrary(t, func(t *testing.T, s *target, l nodeLibrary) {
		run(t, "", l.client(s, "ping")...).want(t, "ping well", "ping well")
	})
}

// gearmanode loses the rest of a packet if its last read has less than twelve bytes, so payloads here are
// small enough to arrive in one.
func TestNodeLargeArguments(t *testing.T) {
	eachNodeLibrary(t, func(t *testing.T, s *target, l nodeLibrary) {
		if l.text {
			perlWorker(t, s, "echo", "digest")
			run(t, "", l.client(s, "large", "12000")...).want(t, "echo intact", "digest right")
			return
		}
		l.worker(t, s, "echo", "digest")
		for _, size := range []int{65_480, 65_510, 2 << 20} {
			run(t, "", l.client(s, "large", strconv.Itoa(size))...).want(t, "echo intact", "digest right")
		}
	})
}

func TestNodeTextCommands(t *testing.T) {
	eachNodeLibrary(t, func(t *testing.T, s *target, l nodeLibrary) {
		if !l.textCommands {
			t.Skip("it has none")
		}
		perlClientQueues(t, s)
		run(t, "", l.client(s, "functions")...).want(t, "note 2 0 0")
		run(t, "", perlClient(s, "dispatch", "c")...).want(t, "dispatched 1")
		s.await(t, "note", function{total: 3})
		run(t, "", l.client(s, "functions")...).want(t, "note 3 0 0")
	})
}

func perlClientQueues(t *testing.T, s *target) {
	t.Helper()
	run(t, "", perlClient(s, "dispatch", "a", "b")...).want(t, "dispatched 2")
	s.await(t, "note", function{total: 2})
}

// gearmanode and gearman can ask for a job's unique id.
func TestNodeGrabUnique(t *testing.T) {
	eachNodeLibrary(t, func(t *testing.T, s *target, l nodeLibrary) {
		if !s.extended() {
			t.Skip("not in Gearman::Server")
		}
		l.worker(t, s, "--unique", "reverse", "echo")
		run(t, "", l.client(s, "foreground")...).want(t, "echo hello", "reverse cba")
	})
}

// abraxas can submit a job for a later time, and on a schedule.
func TestNodeJobForLater(t *testing.T) {
	eachExtended(t, func(t *testing.T, s *target) {
		if s.Kind == peers.C {
			t.Skip("gearmand does not wake a sleeping worker when the moment comes")
		}
		l := nodeLibraries[2]
		worker := l.worker(t, s, "note")
		s.awaitWorkers(t, 1, "note")
		due := time.Now().Add(time.Second).Truncate(time.Second).Add(time.Second)
		run(t, "", l.client(s, "later", fmt.Sprint(due.Unix()), "epoch")...).want(t, "accepted H")
		worker.want(t, "note epoch")
		if early := time.Until(due); early > 0 {
			t.Fatalf("the job ran %v too early", early)
		}
	})
}

func TestNodeJobOnSchedule(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		if s.reference {
			t.Skip("no reference server has SUBMIT_JOB_SCHED")
		}
		run(t, "", nodeLibraries[2].client(s, "schedule", "new year")...).want(t, "accepted H")
		s.await(t, "note", function{total: 1})
	})
}
