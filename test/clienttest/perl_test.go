package clienttest

import (
	"strings"
	"testing"

	"gearloop/test/peers"
)

// perl returns the command line of a Perl program that uses Gearman's modules.
func perl(args ...string) []string {
	return append([]string{"perl", "-Itestdata/perl", "-MPatient"}, args...)
}

func perlWorker(t *testing.T, s *target, args ...string) *process {
	t.Helper()
	return launch(t, append(perl("testdata/perl/worker.pl", s.Addr), args...)...)
}

func perlClient(s *target, scenario ...string) []string {
	return append(perl("testdata/perl/client.pl", s.Addr), scenario...)
}

func TestPerlForeground(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		perlWorker(t, s, "echo", "reverse")
		run(t, "", perlClient(s, "foreground")...).want(t,
			"echo result hello", "reverse result cba", "bytes intact", "nuls intact")
	})
}

func TestPerlBackground(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		g := newGate(t)
		client := launch(t, perlClient(s, "background", g.path)...)
		client.want(t, "handle good", "state queued")
		perlWorker(t, s, "progress")
		client.want(t, "state running 3 7")
		g.release(t, "nobody listens")
		client.want(t, "state unknown")
		client.end(t, 0)
	})
}

func TestPerlStatusUpdates(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		perlWorker(t, s, "steps")
		run(t, "", perlClient(s, "one", "steps", "x")...).want(t,
			"steps status 1/3", "steps status 2/3", "steps status 3/3", "steps complete stepped", "returned stepped")
	})
}

func TestPerlFail(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		perlWorker(t, s, "fail")
		run(t, "", perlClient(s, "one", "fail", "x")...).want(t, "fail fail jshandle fail", "returned undef")
	})
}

// Only a client that has asked for exceptions gets the exception. For Gearman::Client it ends the task, so
// on_fail is not called.
func TestPerlException(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		if s.dialect == "c" {
			testPerlExceptionOfC(t, s)
			return
		}
		perlWorker(t, s, "throw", "echo")
		run(t, "", perlClient(s, "one", "throw", "x")...).want(t,
			"throw fail jshandle fail", "returned undef")
		run(t, "", perlClient(s, "one", "throw", "x", "exceptions", "1")...).want(t,
			"throw exception thrown x", "returned undef")
		run(t, "", perlClient(s, "one", "echo", "after", "exceptions", "1")...).want(t,
			"echo complete after", "returned after")
	})
}

// In the dialect c the exception ends the job. Gearman::Client considers the NUL in the WORK_FAIL a part of
// the handle and dies; Gearman::Worker sends a WORK_FAIL of its own, and dies of the reference's answer to
// it.
func testPerlExceptionOfC(t *testing.T, s *target) {
	worker := perlWorker(t, s, "throw", "echo")
	r := run(t, "", perlClient(s, "one", "throw", "x")...)
	if r.code == 0 || r.stdout != "" || !strings.Contains(r.stderr, "Got work_fail for unknown handle") {
		t.Fatalf("code %d, printed %q, complained %q", r.code, r.stdout, r.stderr)
	}
	if s.reference {
		worker.end(t, 255)
		worker = perlWorker(t, s, "throw", "echo")
	}
	run(t, "", perlClient(s, "one", "throw", "x", "exceptions", "1")...).want(t,
		"throw exception thrown x", "returned undef")
	if s.reference {
		worker.end(t, 255)
		if text := worker.errors(); !strings.Contains(text, "JOB_NOT_FOUND") {
			t.Fatalf("the worker complained %q", text)
		}
		perlWorker(t, s, "throw", "echo")
	}
	run(t, "", perlClient(s, "one", "echo", "after", "exceptions", "1")...).want(t,
		"echo complete after", "returned after")
}

func TestPerlRetry(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		perlWorker(t, s, "flaky")
		run(t, "", perlClient(s, "one", "flaky", "2", "retry_count", "3")...).want(t,
			"flaky retry 1", "flaky retry 2", "flaky complete worked", "returned worked")
	})
}

func TestPerlRetriesUsedUp(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		perlWorker(t, s, "flaky")
		run(t, "", perlClient(s, "one", "flaky", "5", "retry_count", "2")...).want(t,
			"flaky retry 1", "flaky retry 2", "flaky fail jshandle fail", "returned undef")
	})
}

func TestPerlTaskSet(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		perlWorker(t, s, "echo", "reverse", "steps", "fail")
		perlWorker(t, s, "echo", "reverse", "steps", "fail")
		s.awaitWorkers(t, 2, "echo", "fail")
		run(t, "", perlClient(s, "taskset")...).want(t,
			"first complete cba",
			"fourth complete ref",
			"second status 1/3", "second status 2/3", "second status 3/3", "second complete stepped",
			"third fail jshandle fail")
	})
}

func TestPerlHighPriority(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		client := launch(t, perlClient(s, "queue", "normal:a", "normal:b", "high:c", "high:d")...)
		client.want(t, "queued")
		s.await(t, "note", function{total: 4})
		worker := perlWorker(t, s, "--jobs", "4", "note")
		order := "d c a b"
		if s.dialect == "c" {
			order = "c d a b"
		}
		for _, arg := range strings.Fields(order) {
			worker.want(t, "note "+arg)
		}
		worker.want(t, "stopped")
		client.stdin.Close()
		for _, arg := range strings.Fields(order) {
			client.want(t, arg+" complete noted "+arg)
		}
		client.end(t, 0)
	})
}

func TestPerlLowPriority(t *testing.T) {
	eachExtended(t, func(t *testing.T, s *target) {
		client := launch(t, perlClient(s, "queue", "low:a", "normal:b", "low:c", "high:d")...)
		client.want(t, "queued")
		worker := perlWorker(t, s, "--jobs", "4", "note")
		worker.want(t, "note d", "note b", "note a", "note c", "stopped")
		client.stdin.Close()
		client.want(t, "d complete noted d", "b complete noted b", "a complete noted a", "c complete noted c")
		client.end(t, 0)
	})
}

func TestPerlBackgroundPriorities(t *testing.T) {
	eachExtended(t, func(t *testing.T, s *target) {
		run(t, "", perlClient(s, "queue_background", "low:a", "normal:b", "high:c")...).want(t, "queued")
		s.await(t, "note", function{total: 3})
		perlWorker(t, s, "--jobs", "3", "note").want(t, "note c", "note b", "note a", "stopped")
		s.await(t, "note", function{})
	})
}

// Four submissions over two connections with one unique id are one job, and
// each of the four gets its result.
func TestPerlCoalescing(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		client := launch(t, perlClient(s, "coalesce", "key", "a", "b")...)
		client.want(t, "handles 1")
		s.await(t, "note", function{total: 1})
		worker := perlWorker(t, s, "--jobs", "1", "note")
		worker.want(t, "note a", "stopped")
		client.stdin.Close()
		client.want(t, "a complete noted a", "b complete noted a", "a complete noted a", "b complete noted a")
		client.end(t, 0)
	})
}

// With the unique id "-" jobs with the same argument are one job.
func TestPerlCoalescingByArgument(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		client := launch(t, perlClient(s, "coalesce", "-", "a", "b")...)
		client.want(t, "handles 2")
		worker := perlWorker(t, s, "--jobs", "2", "note")
		worker.want(t, "note a", "note b", "stopped")
		client.stdin.Close()
		client.want(t, "a complete noted a", "b complete noted b", "a complete noted a", "b complete noted b")
		client.end(t, 0)
	})
}

// A worker that exceeds its time limit fails the job; its late result is dropped, and it gets the next job.
func TestPerlWorkerTimeout(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		if s.dialect == "c" {
			testPerlWorkerTimeoutOfC(t, s)
			return
		}
		g := newGate(t)
		worker := perlWorker(t, s, "--verbose", "hold@0.5", "echo")
		s.awaitWorkers(t, 1, "hold")
		client := launch(t, perlClient(s, "slow", g.path)...)
		g.awaitJob(t)
		client.want(t, "hold fail jshandle fail", "returned undef", "took half a second")
		s.await(t, "hold", function{workers: 1})
		g.release(t, "too late")
		worker.want(t, "started", "completed too late")
		client.stdin.Close()
		client.want(t, "next result after")
		worker.want(t, "started", "completed after")
		client.end(t, 0)
	})
}

// The dialect c uses milliseconds, at least a second. The job is queued again, and another worker does it.
func testPerlWorkerTimeoutOfC(t *testing.T, s *target) {
	g := newGate(t)
	slow := perlWorker(t, s, "hold@1")
	s.awaitWorkers(t, 1, "hold")
	client := launch(t, perlClient(s, "one", "hold", g.path)...)
	g.awaitJob(t)
	s.await(t, "hold", function{total: 1, workers: 1})
	slow.kill()
	g.desert()
	perlWorker(t, s, "hold")
	g.release(t, "done in the end")
	client.want(t, "hold complete done in the end", "returned done in the end")
	client.end(t, 0)
}

// A client that gives up leaves no job behind: it is dropped when a worker would get it.
func TestPerlClientTimeout(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		run(t, "", perlClient(s, "one", "echo", "x", "timeout", "0.3")...).want(t,
			"echo fail Task echo elapsed timeout [0.3s]", "returned undef")
		worker := perlWorker(t, s, "--verbose", "echo")
		s.await(t, "echo", function{workers: 1})
		run(t, "", perlClient(s, "one", "echo", "y")...).want(t, "echo complete y", "returned y")
		worker.want(t, "started", "completed y")
	})
}

func TestPerlLargeArguments(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		perlWorker(t, s, "echo", "digest")
		for _, size := range []string{"65480", "65510", "524288", "8388608"} {
			run(t, "", perlClient(s, "large", size)...).want(t, "echo intact", "digest right")
		}
	})
}

func TestPerlPrefix(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		plain := perlWorker(t, s, "note")
		red := perlWorker(t, s, "--prefix", "red", "note")
		blue := perlWorker(t, s, "--prefix", "blue", "note")
		s.awaitWorkers(t, 1, "note", "red\tnote", "blue\tnote")
		run(t, "", perlClient(s, "prefix")...).want(t,
			"plain result noted plain", "red result noted red", "blue result noted blue")
		plain.want(t, "note plain")
		red.want(t, "note red")
		blue.want(t, "note blue")
	})
}

// One worker and one client use two servers: every job reaches the worker, whichever server the client
// chooses.
func TestPerlTwoServers(t *testing.T) {
	eachServer(t, testPerlTwoServers)
}

func testPerlTwoServers(t *testing.T, first *target) {
	second := first.another(t)
	both := first.Addr + "," + second.Addr
	launch(t, perl("testdata/perl/worker.pl", both, "echo", "reverse", "steps", "fail")...)
	first.awaitWorkers(t, 1, "echo", "fail")
	second.awaitWorkers(t, 1, "echo", "fail")
	for range 4 {
		run(t, "", perl("testdata/perl/client.pl", both, "foreground")...).want(t,
			"echo result hello", "reverse result cba", "bytes intact", "nuls intact")
	}
	first.Stop()
	run(t, "", perl("testdata/perl/client.pl", both, "foreground")...).want(t,
		"echo result hello", "reverse result cba", "bytes intact", "nuls intact")
}

func TestPerlDataAndWarnings(t *testing.T) {
	eachExtended(t, func(t *testing.T, s *target) {
		perlWorker(t, s, "chunks", "careful")
		run(t, "", perlClient(s, "one", "chunks", "x")...).want(t,
			"chunks data one", "chunks data two", "chunks data three", "chunks complete chunked", "returned chunked")
		run(t, "", perlClient(s, "one", "careful", "x")...).want(t,
			"careful warning careful x", "careful complete warned", "returned warned")
	})
}

// A worker unregisters one function, then all of them, while it runs.
func TestPerlAbilities(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		perlWorker(t, s, "--id", "one two", "echo", "reverse", "without", "nothing")
		s.awaitWorkers(t, 1, "echo", "reverse", "without", "nothing")
		run(t, "", perlClient(s, "one", "without", "echo")...).want(t, "without complete gone", "returned gone")
		s.awaitWorkers(t, 0, "echo")
		s.awaitWorkers(t, 1, "reverse", "without", "nothing")
		if id := map[string]string{"perl": "onetwo", "c": "one two"}[s.dialect]; !strings.Contains(
			strings.Join(s.ask(t, "workers"), "\n"), " "+id+" : ") {
			t.Errorf("no worker %s in %q", id, s.ask(t, "workers"))
		}
		if s.dialect == "c" {
			// The worker's job is queued again when it unregisters its functions.
			client := launch(t, perlClient(s, "one", "nothing", "x")...)
			s.await(t, "nothing", function{total: 1})
			client.kill()
			return
		}
		run(t, "", perlClient(s, "one", "nothing", "x")...).want(t, "nothing complete forgotten", "returned forgotten")
		s.awaitWorkers(t, 0, "echo", "reverse", "without", "nothing")
	})
}

func TestPerlWorkerCallbacks(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		worker := perlWorker(t, s, "--verbose", "--jobs", "2", "echo", "fail")
		run(t, "", perlClient(s, "one", "echo", "x")...).want(t, "echo complete x", "returned x")
		run(t, "", perlClient(s, "one", "fail", "x")...).want(t, "fail fail jshandle fail", "returned undef")
		worker.want(t, "started", "completed x", "started", "failed ", "stopped")
		worker.end(t, 0)
		s.awaitWorkers(t, 0, "echo", "fail")
	})
}

// A worker that dies with a job fails it.
func TestPerlWorkerDies(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		g := newGate(t)
		worker := perlWorker(t, s, "hold")
		client := launch(t, perlClient(s, "one", "hold", g.path)...)
		g.awaitJob(t)
		worker.kill()
		if s.dialect == "c" {
			s.await(t, "hold", function{total: 1})
			return
		}
		client.want(t, "hold fail jshandle fail", "returned undef")
		client.end(t, 0)
		s.await(t, "hold", function{})
	})
}

// The text commands on a connection that has submitted a job, and whose job
// they show.
func TestPerlIntrospection(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		if s.Kind == peers.C {
			t.Skip("gearmand has neither jobs nor clients")
		}
		run(t, "", perlClient(s, "introspection")...).want(t,
			"status queued 1 running 0 capable 0",
			"job key key address - listeners 1",
			"client key key address -")
	})
}
