package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gearloop/api"
	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// brokerRig is a broker with its API, which commands find by GEARLOOP_ADMIN_SOCKET.
type brokerRig struct {
	t      *testing.T
	server *peers.Server
	socket string
}

func newBroker(t *testing.T, args ...string) *brokerRig {
	t.Helper()
	r := &brokerRig{t: t, socket: filepath.Join(t.TempDir(), "admin.sock")}
	r.server = peers.Start(t, peers.Gearloop, append([]string{"--admin-socket", r.socket}, args...)...)
	t.Setenv(serverVariable, "")
	t.Setenv(tokenVariable, "")
	t.Setenv(webVariable, "")
	t.Setenv(socketVariable, r.socket)
	return r
}

// client returns a client of the API.
func (r *brokerRig) client() *api.Client {
	r.t.Helper()
	c, err := api.NewClient("unix:"+r.socket, "", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(c.Close)
	return c
}

// ok runs a command that has to succeed and returns what it prints.
func (r *brokerRig) ok(args ...string) string {
	r.t.Helper()
	out, err := run(args...)
	if err != nil {
		r.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// submit submits a background job by the Gearman port and returns its handle.
func (r *brokerRig) submit(function, unique, argument string) string {
	r.t.Helper()
	root := rootCommand()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetIn(strings.NewReader(argument))
	root.SetArgs([]string{"submit", "--server", r.server.Addr, "--background", "--unique", unique, function})
	if err := root.Execute(); err != nil {
		r.t.Fatal(err)
	}
	return strings.TrimSpace(out.String())
}

// TestHealth asks brokers in every way that there is.
func TestHealth(t *testing.T) {
	r := newBroker(t, "--web", "127.0.0.1:0")
	web := r.server.Web()
	for _, c := range []struct{ args, want string }{
		{"health", "ok\n"},
		{"health --admin-socket " + r.socket, "ok\n"},
		{"health --json", `{"status":"ok","well":true}` + "\n"},
		{"health --server " + web, "ok\n"},
		{"health --server " + r.server.Addr, "ok\n"},
		{"health --server " + r.server.Addr + " --ready", "ok\n"},
	} {
		if out := r.ok(strings.Fields(c.args)...); out != c.want {
			t.Errorf("%s: %q, want %q", c.args, out, c.want)
		}
	}
	if out := r.ok("health", "--ready"); !strings.HasPrefix(out, "ok\n+") {
		t.Errorf("ready: %q", out)
	}
	if out := r.ok("health", "--ready", "--json"); !strings.HasPrefix(out, `{"status":"ok","well":true,"conditions":[{"name":"`) {
		t.Errorf("ready: %q", out)
	}

	t.Setenv(socketVariable, "")
	t.Setenv(webVariable, "0.0.0.0"+web[strings.LastIndexByte(web, ':'):])
	if out := r.ok("health", "--ready"); !strings.HasPrefix(out, "ok\n+") {
		t.Errorf("by GEARLOOP_WEB: %q", out)
	}
	t.Setenv(webVariable, "")
	t.Setenv(variableOf("port"), r.server.Addr[strings.LastIndexByte(r.server.Addr, ':')+1:])
	r.ok("health")
	t.Setenv(variableOf("port"), "")
	t.Setenv(serverVariable, peers.Start(t, peers.Perl).Addr)
	r.ok("health")
	t.Setenv(serverVariable, "")
	t.Setenv(socketVariable, r.socket)

	r.submit("f", "", "x")
	if err := r.client().Post(context.Background(), "drain", nil, nil); err != nil {
		t.Fatal(err)
	}
	r.ok("health")
	var out string
	var err error
	await.Until(t, "the broker is no longer ready", func() bool {
		out, err = run("health", "--ready")
		return err != nil
	})
	if errors.As(err, new(usageError)) || out != "" || !strings.Contains(err.Error(), r.socket+": not ready (") || strings.Contains(err.Error(), "\n") {
		t.Errorf("a broker that drains: %q, %v", out, err)
	}
	var status exitStatus
	if out, err = run("health", "--ready", "--json"); !errors.As(err, &status) || status != 1 || !strings.HasPrefix(out, `{"status":"not ready","well":false,`) {
		t.Errorf("a broker that drains: %q, %v", out, err)
	}
}

// TestBrokerNotFound: a command that does not find its broker says in one line where it looked, and what to
// do.
func TestBrokerNotFound(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none.sock")
	for _, v := range []string{serverVariable, socketVariable, webVariable, tokenVariable} {
		t.Setenv(v, "")
	}
	for _, c := range []struct {
		args, says string
		mistake    bool
	}{
		{"health --admin-socket " + none, "unix:" + none + ": no such file or directory (does the broker run,", false},
		{"health --server http://127.0.0.1:1", "http://127.0.0.1:1: connection refused (does the broker run,", false},
		{"health --server 127.0.0.1:1", "server 127.0.0.1:1: connection refused", false},
		{"health --require store", "--require has a meaning only with --ready", true},
		{"health --ready --require store --server x:1", "--require needs the API", true},
		{"health --server x --admin-socket y", "--admin-socket and --server exclude each other", true},
		{"health x", `unexpected argument "x"`, true},
		{"status --server a --server b", "--server is given 2 times", true},
		{"status --admin-socket " + none, "unix:" + none + ": no such file or directory", false},
	} {
		out, err := run(strings.Fields(c.args)...)
		if err == nil || !strings.HasPrefix(err.Error(), c.says) || out != "" || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %q, %v\n\twant %s", c.args, out, err, c.says)
		} else if errors.As(err, new(usageError)) != c.mistake {
			t.Errorf("%s: %T", c.args, err)
		}
	}
}

// TestLists: what only the API lists.
func TestLists(t *testing.T) {
	r := newBroker(t, "--max-memory", "64M")
	handle := r.submit("f", "u1", "x")
	worker := wire.Dial(t, r.server.Addr)
	worker.Send(codec.SetClientID, "worker-1")
	worker.Send(codec.CanDo, "f")
	if grabbed, _ := worker.Grab(); grabbed != handle {
		t.Fatal(grabbed)
	}
	if err := r.client().Post(context.Background(), api.Path("functions", "f", "pause"), api.Pause{Reason: "db down"}, nil); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"options --set --no-headers":          `(?m)^--max-memory +64M +flag$`,
		"options":                             `(?m)^OPTION +VALUE +FROM\n(.+\n)*--log-level +info +default$`,
		"options --set --json":                `(?m)^{"name":"max-memory","value":"64M","source":"flag"}$`,
		"audit --no-headers":                  `^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  socket  pause  f  ok  db down\n$`,
		"audit --json -n 1":                   `^{"at":"[^"]+","by":"socket","role":"admin","action":"pause","target":"f","reason":"db down","result":"ok"}\n$`,
		"connections --no-headers worker-1":   `^ *\d+  127.0.0.1:\d+  worker-1(  \S+){7}  f\n$`,
		"connections --only clients --json":   `^$`,
		"connections --wide --sort functions": `^NUMBER  ADDRESS .* FUNCTIONS\n( *\d+ .*\n)$`,
	} {
		if out := r.ok(strings.Fields(args)...); !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("%s:\n%s\nwant %s", args, out, want)
		}
	}
	for args, says := range map[string]string{
		"audit --limit 0":             "--limit is 0: it must be at least 1",
		"connections --only x":        `--only: "x" is unknown: it must be workers or clients`,
		"connections a b":             "2 arguments: want a text or none (see gearloop connections --help)",
		"options x":                   `unexpected argument "x" (see gearloop options --help)`,
		"audit --server localhost":    `--server "localhost" is no address of the API, which this command needs: write http://HOST:PORT or https://HOST:PORT`,
		"audit --server unix:/x/y.so": `--server "unix:/x/y.so" is no address of the API, which this command needs: for a unix socket write --admin-socket /x/y.so`,
	} {
		if out, err := run(strings.Fields(args)...); !errors.As(err, new(usageError)) || err.Error() != says || out != "" {
			t.Errorf("%s: %q, %v\n\twant %s", args, out, err, says)
		}
	}
}

// TestNextJobs lists the jobs that workers get next, in their order, and no others.
func TestNextJobs(t *testing.T) {
	r := newBroker(t)
	c := wire.Dial(t, r.server.Addr)
	first := r.submit("f", "u1", "x")
	low := c.Submit(codec.SubmitJobLowBg, "f", "u2", "x")
	second := r.submit("f", "u3", "x")
	high := c.Submit(codec.SubmitJobHighBg, "f", "u4", "x")
	r.submit("g", "u5", "x")
	out := r.ok("jobs", "f", "--next", "--json")
	var got []string
	for line := range strings.Lines(out) {
		var j api.Job
		if err := json.Unmarshal([]byte(line), &j); err != nil {
			t.Fatal(err)
		}
		got = append(got, j.Handle)
	}
	if want := []string{high, first, second, low}; !slices.Equal(got, want) {
		t.Errorf("%v come next, want %v", got, want)
	}
	r.mistakes(true, map[string]string{
		"jobs --next":                   "--next lists the jobs of one function that wait: give its name, and no other filter",
		"jobs f --next --state delayed": "--next lists the jobs of one function that wait: give its name, and no other filter",
		"jobs f --next --server x:1":    "--next, --older-than, --priority, --unique-prefix, --worker and --contains need the API: ",
	})
}

// matches wants the outputs of commands to match expressions.
func (r *brokerRig) matches(wants map[string]string) {
	r.t.Helper()
	for args, want := range wants {
		if out := r.ok(strings.Fields(args)...); !regexp.MustCompile(want).MatchString(out) {
			r.t.Errorf("%s:\n%s\nwant %s", args, out, want)
		}
	}
}

// mistakes wants commands to fail, with one line: says, and nothing printed. mistake: it is one of the
// arguments.
func (r *brokerRig) mistakes(mistake bool, wants map[string]string) {
	r.t.Helper()
	for args, says := range wants {
		out, err := run(strings.Fields(args)...)
		if err == nil || !strings.HasPrefix(err.Error(), says) || strings.Contains(err.Error(), "\n") || out != "" || errors.As(err, new(usageError)) != mistake {
			r.t.Errorf("%s: %q, %T %v\n\twant %s", args, out, err, err, says)
		}
	}
}

// TestJob shows jobs by their handles and unique ids, and why they wait.
func TestJob(t *testing.T) {
	r := newBroker(t)
	first := r.submit("f", "u1", "one \x1b[31m\xff")
	second := r.submit("f", "u2", "two\n")
	odd := r.submit("g g", "u2", "three")
	worker := wire.Dial(t, r.server.Addr)
	worker.Send(codec.SetClientID, "worker-1")
	worker.Send(codec.CanDo, "f")
	worker.Grab()
	worker.Send(codec.WorkStatus, first, "3", "10")
	worker.Sync()
	r.matches(map[string]string{
		"job " + first: `^handle +` + first + `\nfunction +f\nunique id +u1\nstate +running\npriority +normal, background\nsubmitted +\d{4}-.* ago\n` +
			`handed out +\d{4}-.* ago\nworker +127.0.0.1:\d+( "worker-1")?\nprogress +3 of 10\nclients +none waits for its result\nargument +10 bytes\nwhy +Worker `,
		"job u1":                            `^handle +` + first + `\n`,
		"job " + second:                     `(?m)^state +waiting, next of its function$(?s).*^why +The only worker of f has a job`,
		"job u2":                            `(?s)^handle +` + second + `\n.*\n\nhandle +` + odd + `\n.*`,
		"job u1 --json":                     `^{"handle":"` + first + `",.*"numerator":"3","denominator":"10"}\n$`,
		"job u1 --argument":                 "^one \x1b\\[31m.\n?$",
		"job " + odd + " --json --argument": `^{"argument":"three","argument_size":5,"argument_truncated":false}\n$`,
		"explain f":                         `^f\n  The only worker of f has a job; 127.0.0.1:\d+ "worker-1" has had ` + first + ` of f for .*\.\n$`,
		"explain " + first:                  "^" + first + ` of f is running\n  Worker .* has had it for .* It said last: 3 of 10\.\n$`,
		"explain u2":                        `^` + second + ` of f is waiting\n.*\n` + odd + ` of g g is waiting\n  No worker is connected`,
		"explain u1 --json":                 `^{"function":"f","handle":"` + first + `","state":"running","causes":\[{"kind":"running",.*}\]}\n$`,
	})
	if out := r.ok("job", first, "--argument"); out != "one \x1b[31m\xff" {
		t.Errorf("the argument is %q", out)
	}
	r.mistakes(false, map[string]string{
		"job none":          `there is no job with the handle or unique id "none": it has ended, or never was`,
		"job H:x:1":         `there is no job with the handle or unique id "H:x:1": it has ended, or never was`,
		"explain none":      `"none" is neither a function with jobs or workers, nor the handle or unique id of a job`,
		"job u2 --argument": `2 jobs have the unique id "u2": name one by its handle`,
	})
	r.mistakes(true, map[string]string{
		"job":                       "0 arguments: want a handle or a unique id (see gearloop job --help)",
		"explain a b":               "2 arguments: want a function, a handle or a unique id (see gearloop explain --help)",
		"job u1 --argument --watch": "--argument and --watch exclude each other",
	})
	ended := make(chan string, 1)
	go func() {
		out, err := run("job", "u1", "--watch", "--interval", "0.05")
		ended <- fmt.Sprint(out, err)
	}()
	worker.Send(codec.WorkComplete, first, "done")
	select {
	case out := <-ended: // at the first look already it may be gone
		if !strings.HasSuffix(out, "The job has ended.\n<nil>") && !strings.Contains(out, "never was") {
			t.Errorf("watched to its end: %q", out)
		}
	case <-time.After(await.Limit):
		t.Error("watching a job does not end with it")
	}
}
