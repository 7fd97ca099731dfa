package clienttest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gearloop/test/peers"

	"gearloop/test/await"
)

// serverVariable names the environment variable that picks the server under test.
const serverVariable = "GEARLOOP_CLIENTTEST_SERVER"

// deadline bounds every wait for something that is sure to happen.
var deadline = await.Limit

// target is one running job server.
type target struct {
	*peers.Server
	name       string // as in servers
	host, port string
	// dialect is the reference that the server follows where the two disagree: "perl" or "c".
	dialect string
	// reference: this is not Gearloop.
	reference bool
}

// servers returns the names of the servers to test: the one in the variable, or else Gearloop in both
// dialects.
func servers() []string {
	if name := os.Getenv(serverVariable); name != "" {
		return []string{name}
	}
	return []string{"gearloop", "gearloop-c"}
}

// eachServer runs a test with each server to test, started with args.
func eachServer(t *testing.T, test func(*testing.T, *target), args ...string) {
	t.Helper()
	t.Parallel()
	for _, name := range servers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, startServer(t, name, args...))
		})
	}
}

// eachExtended is eachServer for tests of packets that the Perl server does not know. A run against that
// server skips them.
func eachExtended(t *testing.T, test func(*testing.T, *target), args ...string) {
	t.Helper()
	eachServer(t, func(t *testing.T, s *target) {
		s.needExtended(t)
		test(t, s)
	}, args...)
}

// startServer runs the server of that name until the end of the test.
func startServer(t *testing.T, name string, args ...string) *target {
	t.Helper()
	s := &target{name: name, dialect: "perl"}
	// A server with the race detector would sleep for a second before it exits.
	race := []string{"GORACE=atexit_sleep_ms=0 " + os.Getenv("GORACE")}
	switch name {
	case "gearloop":
		s.Server = peers.StartWith(t, peers.Gearloop, peers.Options{Args: args, Env: race})
	case "gearloop-c":
		s.dialect = "c"
		args = append([]string{"--dialect", "c"}, args...)
		s.Server = peers.StartWith(t, peers.Gearloop, peers.Options{Args: args, Env: race})
	case "perl":
		s.reference = true
		s.Server = peers.Start(t, peers.Perl, args...)
	case "c":
		s.reference, s.dialect = true, "c"
		s.Server = peers.Start(t, peers.C, args...)
	default:
		t.Fatalf("%s: no server is called %q", serverVariable, name)
	}
	var err error
	if s.host, s.port, err = net.SplitHostPort(s.Addr); err != nil {
		t.Fatal(err)
	}
	return s
}

// another starts a second server of the same name.
func (s *target) another(t *testing.T, args ...string) *target {
	t.Helper()
	return startServer(t, s.name, args...)
}

// extended reports whether the server has the packets that came after the Perl
// server: WORK_DATA, low priority, GRAB_JOB_UNIQ and the like.
func (s *target) extended() bool { return !s.reference || s.Kind == peers.C }

// needExtended ends the test if the server is not extended.
func (s *target) needExtended(t *testing.T) {
	t.Helper()
	if !s.extended() {
		t.Skip("not in Gearman::Server: a packet of the later protocol")
	}
}

// ask sends a text command on a connection of its own and returns the lines of the answer up to the line with
// a dot, or the single line of a command that answers with OK, ERR or a version.
func (s *target) ask(t *testing.T, command string) []string {
	t.Helper()
	c, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(deadline))
	if _, err := io.WriteString(c, command+"\n"); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 0, 4096)
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		answer = append(answer, buf[:n]...)
		if text := string(answer); text == ".\n" || strings.HasSuffix(text, "\n.\n") {
			return strings.Split(strings.TrimSuffix(text, ".\n"), "\n")
		}
		if err != nil {
			t.Fatalf("%s: %v after %q", command, err, answer)
		}
	}
}

// function is one line of the command status.
type function struct{ total, running, workers int }

// status returns the functions that the server shows.
func (s *target) status(t *testing.T) map[string]function {
	t.Helper()
	all := map[string]function{}
	for _, line := range s.ask(t, "status") {
		if line == "" {
			continue
		}
		fields := strings.Split(line, "\t")
		if len(fields) < 4 {
			t.Fatalf("status: line %q", line)
		}
		// A name may contain tabs: the numbers are the last three fields.
		at := len(fields) - 3
		var numbers [3]int
		for i, f := range fields[at:] {
			n, err := strconv.Atoi(f)
			if err != nil {
				t.Fatalf("status: line %q: %v", line, err)
			}
			numbers[i] = n
		}
		// Gearloop writes them as %09, so that no row can be forged.
		name := strings.ReplaceAll(strings.Join(fields[:at], "\t"), "%09", "\t")
		all[name] = function{numbers[0], numbers[1], numbers[2]}
	}
	return all
}

// await waits until the function's row has these numbers. A missing row counts as three zeros.
func (s *target) await(t *testing.T, name string, want function) {
	t.Helper()
	var got function
	await.UntilSaid(t, func() bool {
		got = s.status(t)[name]
		return got == want
	}, func() string { return fmt.Sprintf("%s has %+v, want %+v", name, got, want) })
}

// awaitWorkers waits until exactly n workers are registered for each of the functions.
func (s *target) awaitWorkers(t *testing.T, n int, names ...string) {
	t.Helper()
	var got map[string]function
	await.UntilSaid(t, func() bool {
		got = s.status(t)
		return !slices.ContainsFunc(names, func(f string) bool { return got[f].workers != n })
	}, func() string { return fmt.Sprintf("want %d workers for %q, status is %+v", n, names, got) })
}

// awaitListeners waits until the only job of the server, with the given unique id, has n listeners.
func (s *target) awaitListeners(t *testing.T, unique string, n int) {
	t.Helper()
	var got string
	want := fmt.Sprintf("\t%d", n)
	await.UntilSaid(t, func() bool {
		if s.dialect == "c" {
			got = "\t" + s.listenersOf(t, unique)
		} else {
			got = s.ask(t, "jobs")[0]
		}
		return strings.HasSuffix(got, want)
	}, func() string { return fmt.Sprintf("want %d listeners: %q", n, got) })
}

// listenersOf uses GET_STATUS_UNIQUE, because gearmand has no command jobs.
func (s *target) listenersOf(t *testing.T, unique string) string {
	t.Helper()
	const getStatusUnique, headerSize = 41, 12
	c, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(deadline))
	if _, err := c.Write(append([]byte{0, 'R', 'E', 'Q', 0, 0, 0, getStatusUnique, 0, 0, 0, byte(len(unique))}, unique...)); err != nil {
		t.Fatal(err)
	}
	header := make([]byte, headerSize)
	if _, err := io.ReadFull(c, header); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint32(header[8:]))
	if _, err := io.ReadFull(c, body); err != nil {
		t.Fatal(err)
	}
	return string(body[bytes.LastIndexByte(body, 0)+1:])
}

// awaitClient waits until the command workers shows a connection with this client id and these functions.
func (s *target) awaitClient(t *testing.T, id, functions string) {
	t.Helper()
	var lines []string
	await.UntilSaid(t, func() bool {
		lines = s.ask(t, "workers")
		return slices.ContainsFunc(lines, func(l string) bool { return strings.HasSuffix(l, " "+id+" : "+functions) })
	}, func() string { return fmt.Sprintf("no client %s with %s in %q", id, functions, lines) })
}
