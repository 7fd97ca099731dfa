package httpgate

import (
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"gearloop/admin"
	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/reactor"
	"gearloop/sched"
	"gearloop/test/wire"
)

// TestInside runs the broker in the same process, as the daemon does, and ends both gracefully.
func TestInside(t *testing.T) {
	descriptors := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		l.Close() // descriptors that the runtime opens with the first socket remain
	}
	before := descriptors()
	d, err := dialect.Named("c")
	if err != nil {
		t.Fatal(err)
	}
	s := sched.New(sched.Config{Dialect: d, HandlePrefix: "H:inside", Wakeup: -1})
	broker, err := reactor.New(reactor.Config{
		Dialect: d, Sched: s, Admin: &admin.Admin{Sched: s, Dialect: d, Version: "1"},
		Log: slog.New(slog.DiscardHandler), Loops: 2, Accept: 10, MaxPacket: 64 << 20, MaxOutbound: 256 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := broker.Listen("127.0.0.1:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- broker.Serve(func() { close(ready) }) }()
	<-ready
	g, addr := serve(t, Config{Dial: broker.DialContext})

	worker := wire.Dial(t, addrs[0])
	work := func(jobs int) {
		for range jobs {
			j := grab(worker, "f")
			worker.Send(codec.WorkComplete, j.handle, "R:"+j.argument)
		}
	}
	long := strings.Repeat("long", 1<<18)
	arguments := []string{"", "abc", long}
	const each = 20
	var clients sync.WaitGroup
	for _, a := range arguments {
		clients.Go(func() {
			for range each {
				c := ask(t, addr, post("f", a, "X-Gearman-Unique:"))
				if r := c.reply("POST"); r.body != "R:"+a || r.cut {
					t.Errorf("%v", r)
				}
				c.Close()
			}
		})
	}
	served := make(chan struct{})
	go func() { defer close(served); work(each * len(arguments)) }()
	clients.Wait()
	<-served

	last := ask(t, addr, post("f", "last"))
	j := grab(worker, "f")
	broker.Drain()
	stopped := make(chan error, 1)
	go func() { stopped <- g.Shutdown(limited(t, wire.Limit)) }()
	refused(t, addr)
	worker.Send(codec.WorkComplete, j.handle, "result")
	if r := last.reply("POST"); r.body != "result" {
		t.Errorf("the last: %v", r)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if r, err := io.ReadAll(worker.Reader()); err != nil || len(r) != 0 {
		t.Errorf("to the worker: %q, %v", r, err)
	}
	worker.Close()
	last.Close()
	wire.Await(t, "all descriptors are closed", func() bool {
		runtime.GC() // results were spliced through pipes, which stay open until then
		return descriptors() <= before
	})
}
