package reactor

import (
	"fmt"
	"sync"
	"testing"

	"gearloop/codec"
	"gearloop/test/wire"
)

// workPushed completes jobs as they arrive, until the connection ends. It fails when a second job arrives
// before the first is completed.
func workPushed(t *testing.T, w *wire.Conn) {
	for {
		p, err := w.Receive()
		if err != nil {
			return
		}
		if p.Type != codec.JobAssign {
			t.Errorf("a pushed worker got %v", p)
			return
		}
		args := p.Args(3)
		// A second job would arrive before the echo.
		out := codec.AppendRequest(nil, codec.WorkStatus, args[0], "1", "2")
		if _, err := w.Write(codec.AppendRequest(out, codec.EchoReq, args[0])); err != nil {
			return
		}
		p, err = w.Receive()
		if err != nil {
			return
		}
		if p.Type != codec.EchoRes || string(p.Data) != args[0] {
			t.Errorf("%v while %s is not done", p, args[0])
			return
		}
		if _, err := w.Write(codec.AppendRequest(nil, codec.WorkComplete, args[0], args[2])); err != nil {
			return
		}
	}
}

// ALL_YOURS workers get all jobs of all their functions, across loops, one at a time.
func TestPushAcrossLoops(t *testing.T) {
	for _, n := range []int{1, 2, 4} {
		t.Run(fmt.Sprint(n, " loops"), func(t *testing.T) {
			const clients, workers, jobs = 4, 4, 300
			r := newRig(t, loops(n))
			functions := []string{"a", "b", "c"}
			var working, waiting sync.WaitGroup
			var all []*wire.Conn
			for range workers {
				w := r.worker(functions...)
				w.Send(codec.AllYours)
				all = append(all, w)
				working.Go(func() { workPushed(t, w) })
			}
			for k := range clients {
				c := r.dial()
				all = append(all, c)
				waiting.Go(func() {
					for i := range jobs {
						argument := fmt.Sprint(k, " ", i)
						h := c.Submit(codec.SubmitJob, functions[i%len(functions)], "", argument)
						c.Want(codec.WorkStatus, h, "1", "2")
						c.Want(codec.WorkComplete, h, argument)
					}
				})
			}
			waiting.Wait()
			for _, c := range all {
				c.Close()
			}
			working.Wait()
			r.quiet()
		})
	}
}

// Jobs that waited before are pushed too. A result in the same write as ALL_YOURS does no harm.
func TestPushWhatWaits(t *testing.T) {
	r := newRig(t)
	client := r.dial()
	var handles []string
	for range 3 {
		handles = append(handles, client.Submit(codec.SubmitJob, "f", "", "x"))
	}
	w := r.worker("f")
	w.Send(codec.AllYours)
	for i := range handles {
		h, _ := w.WantJob()
		if h != handles[i] {
			t.Errorf("job %d is %s, want %s", i, h, handles[i])
		}
		w.Sync()
		w.Send(codec.WorkFail, h)
		client.Want(codec.WorkFail, h)
	}
	w.Sync()
}

// At the limit of CAN_DO_TIMEOUT the client gets WORK_FAIL after everything that the worker sent before, and
// nothing of the job afterwards.
func TestTimeoutKeepsOrder(t *testing.T) {
	r := newRig(t, loops(2))
	client, worker := r.dial(), r.dial()
	worker.Send(codec.CanDoTimeout, "f", "0.03")
	worker.Sync()
	for range 10 {
		h := client.Submit(codec.SubmitJob, "f", "", "x")
		worker.Grab()
		stop := make(chan struct{})
		stopped := make(chan int)
		go func() {
			n := 0
			for ; ; n++ {
				select {
				case <-stop:
					stopped <- n
					return
				default:
					worker.Send(codec.WorkData, h, fmt.Sprint(n))
				}
			}
		}()
		data := 0
		for p := client.Next(); p.Type != codec.WorkFail; p = client.Next() {
			if args := p.Args(2); p.Type != codec.WorkData || args[0] != h || args[1] != fmt.Sprint(data) {
				t.Fatalf("got %v after %d pieces of data", p, data)
			}
			data++
		}
		close(stop)
		if sent := <-stopped; data > sent {
			t.Errorf("%d pieces of data came of %d", data, sent)
		}
		worker.Send(codec.WorkComplete, h, "late") // dropped without an answer
		worker.Sync()
		client.Sync()
	}
	worker.Close()
	client.Close()
	r.quiet()
}

// Many jobs have limits. Some are completed in time and some not; each ends once, in its own way.
func TestTimeoutsOfManyJobs(t *testing.T) {
	r := newRig(t, loops(2))
	const jobs = 200
	client := r.dial()
	worker := r.dial()
	worker.Send(codec.CanDoTimeout, "hasty", "0.05")
	worker.Send(codec.CanDoTimeout, "patient", "1000")
	want := map[string]codec.Type{}
	for i := range jobs {
		function, end := "patient", codec.WorkComplete
		if i%3 == 0 {
			function, end = "hasty", codec.WorkFail
		}
		want[client.Submit(codec.SubmitJob, function, "", "x")] = end
	}
	for range jobs {
		worker.Grab()
	}
	for h, end := range want {
		if end == codec.WorkComplete {
			worker.Send(codec.WorkComplete, h, "y")
		}
	}
	for len(want) > 0 {
		p := client.Next()
		h := p.Args(2)[0]
		if want[h] != p.Type {
			t.Fatalf("%v, want %v", p, want[h])
		}
		delete(want, h)
	}
	client.Sync()
	worker.Close()
	client.Close()
	r.quiet()
}
