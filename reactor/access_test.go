package reactor

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gearloop/codec"
	"gearloop/internal/acl"
	"gearloop/internal/dialect"
	"gearloop/internal/tlsfiles"
	"gearloop/test/certs"
	"gearloop/test/collect"
	"gearloop/test/wire"
)

// accessList is the file of an access list.
type accessList struct {
	*acl.List
	tb   testing.TB
	file string
}

func newAccessList(tb testing.TB, text string) *accessList {
	tb.Helper()
	a := &accessList{tb: tb, file: filepath.Join(tb.TempDir(), "acl")}
	a.write(text)
	var err error
	if a.List, err = acl.Open(a.file); err != nil {
		tb.Fatal(err)
	}
	return a
}

func (a *accessList) write(text string) {
	a.tb.Helper()
	if err := os.WriteFile(a.file, []byte(text), 0o600); err != nil {
		a.tb.Fatal(err)
	}
}

// change replaces the list and reads it again, as SIGHUP does.
func (a *accessList) change(r *rig, text string) {
	a.tb.Helper()
	a.write(text)
	if err := a.Reload(); err != nil {
		a.tb.Fatal(err)
	}
	r.server.ReviewRights()
}

// in makes a server use the list.
func (a *accessList) in(s *setup) { s.ACL = a.List }

// speaks makes a server speak a dialect.
func speaks(d *dialect.Dialect) func(*setup) {
	return func(s *setup) { s.Config.Dialect, s.Sched.Dialect = d, d }
}

func inEachDialect(t *testing.T, f func(t *testing.T, d *dialect.Dialect)) {
	for _, d := range []*dialect.Dialect{dialect.Perl, dialect.C} {
		t.Run(d.Name, func(t *testing.T) { f(t, d) })
	}
}

// dialFrom connects from an address of the loopback network.
func dialFrom(tb testing.TB, from, to string) *wire.Conn {
	tb.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: wire.Limit}
	c, err := d.Dial("tcp", to)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return wire.New(tb, c)
}

// refusals returns the counter of refusals of a kind.
func (r *rig) refusals(kind int) int64 { return r.server.refusals[kind].Load() }

// A peer has the rights of its address. A peer without any right gets an error and is disconnected. Nothing
// else ends a connection.
func TestRightsByAddress(t *testing.T) {
	inEachDialect(t, func(t *testing.T, d *dialect.Dialect) {
		list := newAccessList(t, `
[clients]
network = 127.0.0.1
submit  = f
[workers]
network = 127.0.0.2/32
work    = f
[operators]
network = 127.0.0.3
look    = *
admin   = *
`)
		r := newRig(t, list.in, speaks(d))
		client, worker := r.dial(), dialFrom(t, "127.0.0.2", r.addrs[0])
		code := d.Forbidden.Code
		client.Send(codec.SubmitJob, "g", "", "x")
		client.WantError(code)
		worker.Send(codec.CanDo, "g")
		worker.WantError(code)
		worker.Send(codec.SubmitJob, "f", "", "x")
		worker.WantError(code)
		client.Send(codec.CanDo, "f")
		client.WantError(code)
		client.Send(codec.GrabJob)
		client.WantError(code)
		handle := client.Submit(codec.SubmitJob, "f", "", "x")
		worker.Send(codec.CanDo, "f")
		if h, argument := worker.Grab(); h != handle || argument != "x" {
			t.Errorf("the worker has %q with %q", h, argument)
		}
		worker.Send(codec.WorkComplete, handle, "y")
		client.Want(codec.WorkComplete, handle, "y")

		for _, c := range []*wire.Conn{client, worker} {
			for _, line := range []string{"status", "workers", "jobs", "clients", "show jobs", "show unique jobs", "prioritystatus",
				"gladiator", "version", "getpid", "verbose", "maxqueue f 1", "create function f", "drop function f",
				"cancel job " + handle, "shutdown", "shutdown graceful"} {
				c.Line(line)
				if got := c.ReadLine(); !strings.HasPrefix(got, "ERR "+code+" ") {
					t.Errorf("%q is answered with %q", line, got)
				}
			}
			c.Sync()
		}

		operator := dialFrom(t, "127.0.0.3", r.addrs[0])
		if rows := operator.Table("status"); len(rows) != 1 || !strings.HasPrefix(rows[0], "f\t") {
			t.Errorf("status: %q", rows)
		}
		stranger := dialFrom(t, "127.0.0.9", r.addrs[0])
		stranger.WantError(code)
		stranger.WantEnd()
		for kind, want := range [...]int64{refusedConnection: 1, refusedSubmit: 2, refusedWork: 3, refusedLook: 22, refusedAdmin: 12} {
			if got := r.refusals(kind); got != want {
				t.Errorf("%d refusals of kind %s, want %d", got, refusedNames[kind], want)
			}
		}
		all := strings.Join(operator.Table("gladiator all"), "\n")
		if !strings.Contains(all, "     12 fault: no right to admin") || !strings.Contains(all, "      1 fault: no right to connect") {
			t.Errorf("gladiator all: %s", all)
		}
	})
}

// Without a list nothing is refused, and no command shows rights.
func TestNoAccessList(t *testing.T) {
	r := newRig(t)
	c := r.dial()
	c.Submit(codec.SubmitJobBg, "f", "", "x")
	if all := strings.Join(c.Table("gladiator all"), "\n"); strings.Contains(all, "no right") {
		t.Errorf("gladiator all: %s", all)
	}
	if all := r.server.RefusedRights(); all != nil {
		t.Errorf("%v", all)
	}
}

// Tables show a peer only what it may look at. It may change only what it may administrate.
func TestRightsInTextCommands(t *testing.T) {
	inEachDialect(t, func(t *testing.T, d *dialect.Dialect) {
		list := newAccessList(t, `
[all]
network = 127.0.0.1
submit  = *
work    = *
look    = *
admin   = *
[some]
network = 127.0.0.2
look    = a*
admin   = a*
`)
		r := newRig(t, list.in, speaks(d))
		everybody, some := r.dial(), dialFrom(t, "127.0.0.2", r.addrs[0])
		for _, f := range []string{"a1", "b", "a2", "c"} {
			everybody.Send(codec.CanDo, f)
		}
		everybody.Sync()
		other := r.worker("b")
		hidden := everybody.Submit(codec.SubmitJob, "b", "hidden", "x")
		shown := everybody.Submit(codec.SubmitJob, "a1", "shown", "x")
		listener := r.dial() // to a hidden job only
		listener.Submit(codec.SubmitJob, "b", "hidden", "x")
		secret := []string{"b", "c", "hidden", hidden}
		for line, want := range map[string]int{
			"status": 2, "prioritystatus": 2, "workers": 1, "jobs": 1, "clients": 2, "show jobs": 1, "show unique jobs": 1,
		} {
			rows := some.Table(line)
			if len(rows) != want {
				t.Errorf("%s: %d rows, want %d: %q", line, len(rows), want, rows)
			}
			for _, row := range rows {
				for _, word := range strings.FieldsFunc(row, func(r rune) bool { return r == ' ' || r == '\t' }) {
					if slices.Contains(secret, word) {
						t.Errorf("%s shows %q in %q", line, word, row)
					}
				}
			}
			if all := everybody.Table(line); len(all) <= want {
				t.Errorf("%s shows who sees everything %q", line, all)
			}
		}
		row := some.Table("workers")[0]
		if !strings.HasSuffix(row, " a1 a2") && !strings.HasSuffix(row, " a2 a1") {
			t.Errorf("workers: %q", row)
		}
		for _, c := range []struct {
			line string
			ok   bool
		}{
			{"gladiator", false}, {"version", true}, {"getpid", true}, {"verbose", true},
			{"maxqueue a1 5", true}, {"maxqueue b 5", false}, {"maxqueue", false},
			{"create function a9", true}, {"create function b9", false},
			{"drop function a9", true}, {"drop function b9", false}, {"drop function c", false},
			{"cancel job " + hidden, false}, {"cancel job H:rig:99999", false}, {"cancel job " + shown, true},
			{"shutdown", false}, {"shutdown graceful", false},
		} {
			some.Line(c.line)
			got := some.ReadLine()
			if ok := !strings.HasPrefix(got, "ERR "); ok != c.ok {
				t.Errorf("%q is answered with %q", c.line, got)
			}
		}
		// A job that a peer may not change looks to it like one that does not exist.
		some.Line("cancel job " + hidden)
		one := some.ReadLine()
		some.Line("cancel job H:rig:99999")
		if two := some.ReadLine(); one != two {
			t.Errorf("a hidden job: %q, none: %q", one, two)
		}
		if jobs := collect.Rows(r.sched.WalkJobs()); len(jobs) != 1 {
			t.Errorf("jobs left: %v", jobs)
		}
		other.Sync()
	})
}

// The names in a certificate count, but only if the certificate was verified.
func TestRightsByCertificate(t *testing.T) {
	list := newAccessList(t, `
[workers]
certificate = worker-*
work        = f
[everybody]
network = 127.0.0.1
submit  = f
`)
	a := certs.New(t)
	server := a.Sign("server")
	source, err := tlsfiles.Open(tlsfiles.Files{Certificate: server.Certificate, Key: server.Key, CA: a.File, AskClient: true})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, list.in, func(s *setup) {
		s.TLS = source.Config()
		s.listen = []string{"tls://127.0.0.1:0"}
	})
	dial := func(config *tls.Config) (*wire.Conn, error) {
		c, err := tls.Dial("tcp", strings.TrimPrefix(r.addrs[0], tlsScheme), config)
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { c.Close() })
		return wire.New(t, c), nil
	}
	for _, c := range []struct {
		name string // in the certificate; "" = none
		may  bool
	}{{"worker-1", true}, {"client", false}, {"", false}} {
		peer, err := dial(a.Client(c.name))
		if err != nil {
			t.Fatalf("%q: %v", c.name, err)
		}
		peer.Submit(codec.SubmitJobBg, "f", "", "x")
		peer.Send(codec.CanDo, "f")
		if c.may {
			peer.Grab()
		} else {
			peer.WantError("not_allowed")
		}
	}
	// A certificate that no known authority has signed counts as none.
	foreign := certs.New(t).Client("worker-2")
	foreign.RootCAs = a.Client("").RootCAs
	if peer, err := dial(foreign); err == nil {
		peer.WantEnd()
	}
	if n := r.refusals(refusedWork); n != 2 {
		t.Errorf("%d refusals, want 2", n)
	}
}

// Callers inside the process may do everything, except when they act for others.
func TestRightsFromInside(t *testing.T) {
	list := newAccessList(t, "[a]\nnetwork = 192.0.2.0/24\nsubmit = f\n")
	r := newRig(t, list.in)
	dial := func(open func() (net.Conn, error)) *wire.Conn {
		t.Helper()
		c, err := open()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return wire.New(t, c)
	}
	inside := dial(func() (net.Conn, error) { return r.server.DialContext(t.Context()) })
	inside.Submit(codec.SubmitJobBg, "g", "", "x")
	for address, may := range map[string]bool{"192.0.2.7": true, "::ffff:192.0.2.7": true, "127.0.0.1": false} {
		c := dial(func() (net.Conn, error) { return r.server.DialFor(context.Background(), netip.MustParseAddr(address)) })
		if !may {
			c.WantError("not_allowed")
			c.WantEnd()
			continue
		}
		c.Submit(codec.SubmitJobBg, "f", "", "x")
		c.Send(codec.SubmitJobBg, "g", "", "x")
		c.WantError("not_allowed")
	}
}

// When the list changes under load every connection gets its new rights. Meanwhile no connection lacks a
// right that both lists give.
func TestRightsChangeUnderLoad(t *testing.T) {
	const (
		base   = "[base]\nnetwork = 127.0.0.1\nsubmit = always\nwork = always\n"
		more   = base + "[more]\nnetwork = 127.0.0.1\nsubmit = sometimes\nwork = sometimes\n"
		client = 4
	)
	list := newAccessList(t, more)
	r := newRig(t, list.in)
	var done atomic.Bool
	var all sync.WaitGroup
	worker := r.worker("always", "sometimes")
	all.Go(func() {
		for !done.Load() {
			worker.Send(codec.GrabJob)
			switch p := worker.Next(); p.Type {
			case codec.JobAssign:
				worker.Send(codec.WorkComplete, p.Args(3)[0], "")
			case codec.NoJob:
			default:
				t.Errorf("the worker got %v %q", p.Type, p.Data)
				return
			}
		}
	})
	for i := range client {
		c := r.dial()
		all.Go(func() {
			for n := 0; !done.Load(); n++ {
				c.Send(codec.SubmitJobBg, "sometimes", fmt.Sprint(i), "x")
				if p := c.Next(); p.Type != codec.JobCreated && p.Type != codec.Error {
					t.Errorf("sometimes: %v %q", p.Type, p.Data)
					return
				}
				c.Send(codec.SubmitJobBg, "always", fmt.Sprint(i), "x")
				if p := c.Next(); p.Type != codec.JobCreated {
					t.Errorf("always: %v %q", p.Type, p.Data)
					return
				}
			}
		})
	}
	probe := r.dial()
	for range 50 {
		list.change(r, base)
		probe.Send(codec.SubmitJobBg, "sometimes", "", "x")
		probe.WantError("not_allowed")
		list.change(r, more)
		probe.Submit(codec.SubmitJobBg, "sometimes", "", "x")
	}
	done.Store(true)
	all.Wait()
}

// A sleeping worker that loses a right is removed from the function at once. A bad list changes nothing.
func TestRightsTakenFromSleeper(t *testing.T) {
	list := newAccessList(t, "[a]\nnetwork = 127.0.0.1\nsubmit = *\nwork = f g\nlook = *\n")
	r := newRig(t, list.in)
	worker, c := r.asleep("f", "g"), r.dial()
	list.write("[a]\nnetwork = 127.0.0.1\nsubmit = *\nwork = g\nlook\n")
	if err := list.Reload(); err == nil || !strings.Contains(err.Error(), ":5: ") {
		t.Errorf("a bad list: %v", err)
	}
	if rows := c.Table("status"); len(rows) != 2 {
		t.Errorf("after a bad list: %q", rows)
	}
	list.change(r, "[a]\nnetwork = 127.0.0.1\nsubmit = *\nwork = g\nlook = *\n")
	wire.Await(t, "the worker is out of f", func() bool {
		return slices.Equal(c.Table("status"), []string{"g\t0\t0\t1"})
	})
	c.Submit(codec.SubmitJobBg, "f", "", "x")
	c.Submit(codec.SubmitJobBg, "g", "", "y")
	worker.Want(codec.Noop)
	if _, argument := worker.Grab(); argument != "y" {
		t.Errorf("it got %q", argument)
	}
	// Connections that have lost all rights stay, because a job in hand would be lost with its worker.
	list.change(r, "[b]\nnetwork = 127.0.0.7\nsubmit = *\n")
	c.Send(codec.SubmitJobBg, "g", "", "x")
	c.WantError("not_allowed")
	c.Sync()
	worker.Sync()
}

// A list that changes while the server ends, or after its end, wakes no loop that has ended.
func TestRightsChangeAtTheEnd(t *testing.T) {
	list := newAccessList(t, "[a]\nnetwork = 127.0.0.1\nsubmit = *\nwork = *\n")
	r := newRig(t, list.in)
	change := func() {
		if err := list.Reload(); err != nil {
			t.Error(err)
		}
		r.server.ReviewRights()
	}
	r.worker("f")
	var done atomic.Bool
	var changes sync.WaitGroup
	changes.Go(func() {
		for !done.Load() {
			change()
		}
	})
	r.server.Shutdown()
	r.wantEnd()
	change()
	done.Store(true)
	changes.Wait()
}
