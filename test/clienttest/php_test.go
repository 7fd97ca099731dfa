package clienttest

import (
	"strings"
	"testing"

	"gearloop/test/await"
)

// phpWorker starts PHP's worker. The Perl server does not know the packets with which libgearman's workers
// grab jobs, so there it starts Perl's, to give PHP's client something to compare with.
func phpWorker(t *testing.T, s *target, args ...string) *process {
	t.Helper()
	if !s.extended() {
		return perlWorker(t, s, args...)
	}
	return launch(t, append([]string{"php", "testdata/php/worker.php", s.Addr}, args...)...)
}

func phpClient(s *target, scenario ...string) []string {
	return append([]string{"php", "testdata/php/client.php", s.Addr}, scenario...)
}

func TestPHPForeground(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		phpWorker(t, s, "echo", "reverse")
		run(t, "", phpClient(s, "foreground", "doNormal", "doHigh")...).want(t,
			"doNormal SUCCESS lamroNod yb", "doHigh SUCCESS hgiHod yb", "bytes intact", "nuls intact")
	})
}

func TestPHPForegroundLow(t *testing.T) {
	eachExtended(t, func(t *testing.T, s *target) {
		phpWorker(t, s, "echo", "reverse")
		run(t, "", phpClient(s, "foreground", "doLow")...).want(t,
			"doLow SUCCESS woLod yb", "bytes intact", "nuls intact")
	})
}

func TestPHPOneCall(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		phpWorker(t, s, "steps", "fail", "throw")
		run(t, "", phpClient(s, "one", "steps", "x")...).want(t, "SUCCESS stepped")
		run(t, "", phpClient(s, "one", "fail", "x")...).want(t, "WORK_FAIL ")
		run(t, "", phpClient(s, "one", "throw", "x", "1")...).want(t, "WORK_EXCEPTION ")
	})
}

// A client that has not asked for exceptions learns of the failure only. The worker is Perl's, which sends
// WORK_FAIL after the exception.
func TestPHPExceptionNotAskedFor(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		if s.dialect == "c" {
			unheard(t, s, phpClient(s, "one", "throw", "x"))
			return
		}
		perlWorker(t, s, "throw")
		run(t, "", phpClient(s, "one", "throw", "x")...).want(t, "WORK_FAIL ")
	})
}

// unheard runs a client that does not recognise the WORK_FAIL with which the dialect c reports an exception,
// because it ends in a NUL: the client waits on. For the server the job has ended.
func unheard(t *testing.T, s *target, argv []string, lines ...string) {
	t.Helper()
	client := launch(t, argv...)
	client.want(t, lines...)
	s.await(t, "throw", function{total: 1})
	if worker := perlWorker(t, s, "throw"); s.reference {
		worker.end(t, 255) // see testPerlExceptionOfC
	} else {
		s.await(t, "throw", function{workers: 1})
		worker.kill()
	}
	s.await(t, "throw", function{})
	select {
	case line := <-client.lines:
		t.Fatalf("the client is told %q", line)
	default:
	}
	client.kill()
}

// libgearman's workers consider an exception the end of the job and send no WORK_FAIL, which is required
// here: the job fails at the latest when the worker disconnects.
func TestPHPExceptionWithoutFail(t *testing.T) {
	eachExtended(t, func(t *testing.T, s *target) {
		client := launch(t, phpClient(s, "one", "throw", "x")...)
		s.await(t, "throw", function{total: 1})
		worker := phpWorker(t, s, "throw", "note")
		await.UntilSaid(t, func() bool { f := s.status(t)["throw"]; return f.workers == 1 && f.total == f.running },
			func() string { return "the job is still queued" })
		if s.dialect == "c" {
			// The exception ends the job, although this client does not recognise the report.
			s.await(t, "throw", function{workers: 1})
			client.kill()
		}
		// The worker goes on to the next job.
		run(t, "", phpClient(s, "one", "note", "next")...).want(t, "SUCCESS noted next")
		worker.want(t, "note next")
		if s.dialect != "c" {
			worker.kill()
			client.want(t, "WORK_FAIL ")
			client.end(t, 0)
		}
	})
}

// libgearman joins the data of a job to its result.
func TestPHPOneCallWithData(t *testing.T) {
	eachExtended(t, func(t *testing.T, s *target) {
		phpWorker(t, s, "chunks", "careful", "complete")
		run(t, "", phpClient(s, "one", "chunks", "x")...).want(t, "SUCCESS onetwothreechunked")
		run(t, "", phpClient(s, "one", "careful", "x")...).want(t, "SUCCESS warned")
		run(t, "", phpClient(s, "one", "complete", "x")...).want(t, "SUCCESS sent x")
	})
}

func TestPHPJobProperties(t *testing.T) {
	eachExtended(t, func(t *testing.T, s *target) {
		phpWorker(t, s, "about")
		r := run(t, "", phpClient(s, "one", "about", "x")...)
		if got := anonymous(r.stdout); !strings.HasPrefix(got, "SUCCESS about H unique ") || len(got) != len("SUCCESS about H unique \n")+36 {
			t.Fatalf("got %q", r.stdout)
		}
	})
}

func TestPHPBackground(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"doBackground", "doHighBackground", "doLowBackground"} {
		t.Run(method, func(t *testing.T) {
			eachServer(t, func(t *testing.T, s *target) {
				if !s.extended() && method != "doBackground" {
					t.Skip("not in Gearman::Server")
				}
				g := newGate(t)
				client := launch(t, phpClient(s, "background", method, g.path)...)
				client.want(t, method+" SUCCESS H", "state queued")
				phpWorker(t, s, "progress")
				client.want(t, "state running 3/7")
				g.release(t, "nobody listens")
				client.want(t, "state unknown")
				client.end(t, 0)
			})
		})
	}
}

func TestPHPBackgroundPriorities(t *testing.T) {
	eachExtended(t, func(t *testing.T, s *target) {
		run(t, "", phpClient(s, "queue_background", "low:a", "normal:b", "high:c")...).want(t, "queued")
		s.await(t, "note", function{total: 3})
		phpWorker(t, s, "note").want(t, "note c", "note b", "note a")
	})
}

func TestPHPTasks(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		phpWorker(t, s, "echo", "reverse", "steps", "fail")
		phpWorker(t, s, "echo", "reverse", "steps", "fail")
		run(t, "", phpClient(s, "tasks", "", "normal:reverse:abc", "high:steps:x", "normal:fail:x", "high:echo:x")...).want(t,
			"task0 created H", "task0 complete cba",
			"task1 created H", "task1 status 1/3", "task1 status 2/3", "task1 status 3/3", "task1 complete stepped",
			"task2 created H", "task2 fail",
			"task3 created H", "task3 complete x",
			"ran well SUCCESS")
	})
}

func TestPHPTasksWithData(t *testing.T) {
	eachExtended(t, func(t *testing.T, s *target) {
		phpWorker(t, s, "chunks", "careful", "echo")
		run(t, "", phpClient(s, "tasks", "", "low:chunks:x", "normal:careful:x", "low:echo:x")...).want(t,
			"task0 created H", "task0 data one", "task0 data two", "task0 data three", "task0 complete chunked",
			"task1 created H", "task1 warning careful x", "task1 complete warned",
			"task2 created H", "task2 complete x",
			"ran well SUCCESS")
	})
}

// The worker sends WORK_EXCEPTION and WORK_FAIL; for libgearman the first that it gets ends the task.
func TestPHPException(t *testing.T) {
	eachExtended(t, func(t *testing.T, s *target) {
		worker := phpWorker(t, s, "throw", "uncaught", "echo")
		run(t, "", phpClient(s, "tasks", "1", "normal:throw:x", "normal:echo:y")...).want(t,
			"task0 created H", "task0 exception thrown x",
			"task1 created H", "task1 complete y",
			"ran well SUCCESS")
		run(t, "", phpClient(s, "tasks", "1", "normal:uncaught:x", "normal:echo:y")...).want(t,
			"task0 created H", "task0 exception Unable to add worker function",
			"task1 created H", "task1 complete y",
			"ran well SUCCESS")
		worker.want(t, "caught uncaught x")
		run(t, "", phpClient(s, "one", "echo", "z")...).want(t, "SUCCESS z")
	})
}

func TestPHPBackgroundTasks(t *testing.T) {
	eachExtended(t, func(t *testing.T, s *target) {
		run(t, "", phpClient(s, "background_tasks")...).want(t,
			"addTaskLowBackground created H", "addTaskHighBackground created H", "addTaskBackground created H", "ran well")
		phpWorker(t, s, "note").want(t,
			"note addTaskHighBackground", "note addTaskBackground", "note addTaskLowBackground")
	})
}

func TestPHPTaskStatus(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		g := newGate(t)
		phpWorker(t, s, "progress")
		run(t, "", phpClient(s, "task_status", g.path)...).want(t, "state running 3/7", "status known running 3/7")
		g.release(t, "")
	})
}

func TestPHPUniqueStatus(t *testing.T) {
	eachExtended(t, func(t *testing.T, s *target) {
		g := newGate(t)
		phpWorker(t, s, "progress")
		run(t, "", phpClient(s, "unique_status", g.path)...).want(t,
			"state running 3/7", "unique known running 3/7", "another unknown")
		g.release(t, "")
	})
}

func TestPHPPing(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		run(t, "", phpClient(s, "ping")...).want(t, "ping well SUCCESS", "ping well SUCCESS", "ping well SUCCESS")
	})
}

func TestPHPClientTimeout(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		run(t, "", phpClient(s, "impatient", "200")...).want(t, "result '' TIMEOUT", "took as long as allowed")
		worker := phpWorker(t, s, "note", "echo")
		run(t, "", phpClient(s, "one", "note", "next")...).want(t, "SUCCESS noted next")
		worker.want(t, "note next")
	})
}

func TestPHPCoalescing(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		client := launch(t, phpClient(s, "coalesce", "key")...)
		s.await(t, "note", function{total: 1})
		s.awaitListeners(t, "key", 2)
		worker := phpWorker(t, s, "note")
		line := worker.line(t)
		if line != "note one" && line != "note two" {
			t.Fatalf("job %q", line)
		}
		result := strings.Replace(line, "note", "noted", 1)
		client.want(t, "one complete "+result, "one created H", "two complete "+result, "two created H")
		client.end(t, 0)
	})
}

// A worker that exceeds its limit of a second fails the job and gets the next one.
func TestPHPWorkerTimeout(t *testing.T) {
	eachExtended(t, func(t *testing.T, s *target) {
		g := newGate(t)
		slow := phpWorker(t, s, "hold@1", "echo")
		s.awaitWorkers(t, 1, "hold", "echo")
		client := launch(t, phpClient(s, "one", "hold", g.path)...)
		g.awaitJob(t)
		if s.dialect == "c" {
			// The job is queued again, and another worker does it.
			s.await(t, "hold", function{total: 1, workers: 1})
			slow.kill()
			g.desert()
			phpWorker(t, s, "hold")
			g.release(t, "done in the end")
			client.want(t, "SUCCESS done in the end")
			client.end(t, 0)
			return
		}
		client.want(t, "WORK_FAIL ")
		client.end(t, 0)
		g.release(t, "too late")
		run(t, "", phpClient(s, "one", "echo", "next")...).want(t, "SUCCESS next")
	})
}

// A worker that never blocks: it asks, and waits for the connection if there is no job.
func TestPHPNonBlockingWorker(t *testing.T) {
	eachExtended(t, func(t *testing.T, s *target) {
		phpWorker(t, s, "--poll", "echo", "reverse", "digest")
		run(t, "", phpClient(s, "foreground", "doNormal")...).want(t,
			"doNormal SUCCESS lamroNod yb", "bytes intact", "nuls intact")
		run(t, "", phpClient(s, "large", "1000000")...).want(t, "echo intact", "digest right")
	})
}

func TestPHPLargeArguments(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		phpWorker(t, s, "echo", "digest")
		for _, size := range []string{"65480", "65510", "4194304"} {
			run(t, "", phpClient(s, "large", size)...).want(t, "echo intact", "digest right")
		}
	})
}

func TestPHPWorkerID(t *testing.T) {
	eachExtended(t, func(t *testing.T, s *target) {
		phpWorker(t, s, "echo")
		s.awaitClient(t, "php-worker", "echo")
	})
}
