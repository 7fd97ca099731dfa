package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"gearloop/api"
	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/peers"
	"gearloop/test/texts"
	"gearloop/test/wire"
)

// says wants a command to succeed and its output to match.
func (r *brokerRig) says(args, want string) {
	r.t.Helper()
	if out := r.ok(strings.Fields(args)...); !regexp.MustCompile(want).MatchString(out) {
		r.t.Errorf("%s:\n%s\nwant %s", args, out, want)
	}
}

// function returns what the broker knows of a function.
func (r *brokerRig) function(name string) (f api.Function) {
	r.t.Helper()
	if err := r.client().Get(r.t.Context(), api.Path("functions", name), nil, &f); err != nil {
		r.t.Fatal(err)
	}
	return f
}

// TestFunctionActions pauses and closes functions, by name and by pattern, and undoes it.
func TestFunctionActions(t *testing.T) {
	r := newBroker(t)
	r.submit("mail.send", "", "x")
	r.submit("mail.bulk", "", "x")
	r.says("pause mail.send --for 1h --reason later", `^mail.send is paused until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d: 1 job waits, 0 run on\n$`)
	if p := r.function("mail.send").Paused; p == nil || p.Reason != "later" || p.Until == nil || time.Until(*p.Until) > time.Hour {
		t.Errorf("paused: %+v", p)
	}
	await.Until(t, "the list of functions has both", func() bool {
		return strings.Count(r.ok("status", "--no-headers", "mail*"), "\n") == 2
	})
	r.says("pause mail.* --dry-run", `(?s)would pause 2 functions\n.*mail.bulk\nmail.send\n$`)
	if r.function("mail.bulk").Paused != nil {
		t.Error("--dry-run pauses")
	}
	r.says("close mail.* --json", `^{"target":"mail.bulk","changed":true,"count":1}\n{"target":"mail.send","changed":true,"count":1}\n$`)
	c := wire.Dial(t, r.server.Addr)
	c.Send(codec.SubmitJobBg, "mail.send", "", "y")
	c.WantType(codec.Error)
	r.says("open mail.send mail.bulk", `^mail.send is open: submissions are taken\nmail.bulk is open: submissions are taken\n$`)
	r.says("resume mail.send", `^mail.send is resumed: 1 job waits for 0 workers\n$`)
	r.says("resume mail.send", `^mail.send was not paused\n$`)
	r.says("resume mail.send --json", `^{"target":"mail.send","changed":false,"count":0}\n$`)
	r.says("pause mail.sned", `^gearloop: mail.sned has neither jobs nor workers now: is the name right\?\nmail.sned is paused: 0 jobs wait, 0 run on\n$`)
	for _, name := range []string{"/", ".", "..", "a//b", "-", "=", "%2F"} {
		r.submit(name, "", "x")
		r.says("pause "+name, `^`+regexp.QuoteMeta(name)+` is paused: 1 job waits, 0 run on\n$`)
		r.says("explain "+name, regexp.QuoteMeta(name)+` was paused by`)
	}
	for i := range asksFrom + 1 {
		c.Submit(codec.SubmitJobBg, fmt.Sprint("many", i), "", "")
	}
	await.Until(t, "the list of functions has them", func() bool {
		return strings.Count(r.ok("status", "--no-headers", "many*"), "\n") == asksFrom+1
	})
	r.mistakes(true, map[string]string{
		"pause":            "no argument: want names of functions (see gearloop pause --help)",
		"pause f --for 0":  "--for is 0s: it must be more than 0",
		"pause f --for -1": `--for: "-1" is out of range`,
		"resume f --for 1": "unknown option --for",
		"pause many*":      "pause 101 functions: there is no terminal to ask at; add --yes",
	})
	r.mistakes(false, map[string]string{"close none*": "no function matches none*"})
	if out := r.ok("close", "many*", "--yes"); strings.Count(out, "is closed: submissions are refused; 1 job waits, 0 run on\n") != asksFrom+1 {
		t.Errorf("closed:\n%s", out)
	}
}

// TestJobActions cancels jobs, disconnects a worker, reloads and drains.
func TestJobActions(t *testing.T) {
	r := newBroker(t)
	running, waiting := r.submit("f", "u1", "x"), r.submit("f", "u2", "x")
	left := []string{r.submit("g", "u2", "x")}
	worker := wire.Dial(t, r.server.Addr)
	worker.Send(codec.SetClientID, "worker-1")
	worker.Send(codec.CanDo, "f")
	worker.Grab()
	worker.Sync()
	r.says("cancel u1 "+waiting+" --reason no", `^`+running+` of f has failed; its worker 127.0.0.1:\d+( "worker-1")? goes on, and its result is dropped\n`+
		waiting+` of f is cancelled\n$`)
	left = append(left, r.submit("f", "u2", "x"))
	out, err := run("cancel", "none", "u2", "gone")
	if err == nil || err.Error() != noJob("gone").Error() || errors.As(err, new(usageError)) ||
		out != "gearloop: "+noJob("none").Error()+"\ngearloop: 2 jobs have the unique id \"u2\": name one by its handle (see gearloop job)\n" {
		t.Errorf("%q, %v", out, err)
	}
	r.says("disconnect worker-1", `^127.0.0.1:\d+ "worker-1" is disconnected\n$`)
	worker.WantEnd()
	r.mistakes(false, map[string]string{"disconnect worker-1": `no connection has the number, address or client id "worker-1"`})
	first, second := wire.Dial(t, r.server.Addr), wire.Dial(t, r.server.Addr)
	for _, c := range []*wire.Conn{first, second} {
		c.Send(codec.SetClientID, "twin")
		c.Sync()
	}
	r.mistakes(false, map[string]string{"disconnect twin": `2 connections have the client id "twin": name one by its number`})
	r.says("disconnect --json "+first.LocalAddr().String(), `^{"target":"\d+","changed":true,"count":1}\n$`)
	first.WantEnd()

	r.says("reload", `^The broker reads its files again`)
	r.mistakes(true, map[string]string{"drain": "the broker on ", "drain x": `unexpected argument "x"`})
	r.says("audit --no-headers -n 1", `  socket  reload `)
	r.says("drain --yes", `^The broker takes no new connections, and ends once its jobs are done: 0 running, 2 waiting\n$`)
	second.Close()
	ended := make(chan error, 1)
	go func() {
		out, err := run("drain", "--wait") // it drains already: nothing is asked
		if err == nil && out != "The broker has ended\n" {
			err = errors.New(out)
		}
		ended <- err
	}()
	await.Until(t, "that is asked", func() bool {
		out, err := run("audit", "--no-headers")
		return err == nil && strings.Count(out, "  drain ") == 2
	})
	r.says("cancel "+left[0]+" "+left[1], `is cancelled\n.*is cancelled\n$`)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestReadOnly: a refusal of the broker is said in its words, and is no mistake in the arguments.
func TestReadOnly(t *testing.T) {
	newBroker(t, "--web-read-only")
	out, err := run("pause", "f")
	if err == nil || errors.As(err, new(usageError)) || !strings.Contains(err.Error(), "read") || out != "" {
		t.Errorf("%q, %v", out, err)
	}
}

// TestEvents follows the events of a broker, also over its restart.
func TestEvents(t *testing.T) {
	r := newBroker(t)
	r.says("events -n 2", `^TIME +STATE +WAITING .*\n\d\d:\d\d:\d\d +ready +0 .*\n\d\d:\d\d:\d\d +ready +0 .*\n$`)
	r.says("events -n 1 --json", `^{"event":"totals","data":{"version":".*}}\n$`)
	r.mistakes(true, map[string]string{"events --count -1": "--count is -1: it must not be negative", "events x": `unexpected argument "x"`})
	r.mistakes(false, map[string]string{"events --topic x": `topic is "x": it must be`})

	root := rootCommand()
	in, out := io.Pipe()
	said := &texts.Buffer{}
	root.SetOut(out)
	root.SetErr(said)
	root.SetArgs([]string{"events", "--json", "--count", "8"}) // the first broker sends one each second until it has ended
	left := make(chan error, 1)
	go func() {
		left <- root.Execute()
		out.Close()
	}()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	lines.Scan()
	r.server.Stop()
	peers.Start(t, peers.Gearloop, "--admin-socket", r.socket)
	for lines.Scan() {
	}
	select {
	case err := <-left:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(await.Limit):
		t.Fatal("it goes on after 8 events")
	}
	if s := said.String(); !strings.Contains(s, "; connecting again\n") || !strings.HasSuffix(s, "gearloop: connected again\n") {
		t.Errorf("over a restart it said:\n%s", s)
	}
}

// TestSteer gives up, takes back, puts in front and changes the priority of jobs, and purges functions.
func TestSteer(t *testing.T) {
	r := newBroker(t)
	worker := wire.Dial(t, r.server.Addr)
	worker.Send(codec.CanDo, "f")
	running := r.submit("f", "", "x")
	worker.Grab()
	first, last := r.submit("f", "", "x"), r.submit("f", "u1", "x")
	r.says("front u1", `^`+last+` of f is in front of all others of its priority\n$`)
	r.says("front u1 --json", `^{"target":"`+last+`","changed":false,"count":0}\n$`)
	r.says("priority high "+first+" u1", `^`+first+` of f has priority high\n`+last+` of f has priority high\n$`)
	r.says("priority high u1", ` had priority high already\n$`)
	r.says("take-back "+running, `^`+running+` of f is queued again, in front; its worker 127.0.0.1:\d+ goes on, so that it may be done twice\n$`)
	if handle, _ := worker.Grab(); handle != first {
		t.Errorf("%s comes first, want %s, which has priority high", handle, first)
	}
	r.says("give-up "+first, `^`+first+` of f has failed; its worker 127.0.0.1:\d+ goes on, and its result is dropped\n$`)
	r.says("give-up "+first, `^`+first+` of f was given up already; its worker goes on, and its result is dropped\n$`)
	r.mistakes(false, map[string]string{
		"give-up " + last:    last + ": the job is waiting: only running jobs can be given up",
		"take-back " + first: first + ": the job was given up: it has failed for its clients, and its worker's result is dropped",
	})
	r.mistakes(true, map[string]string{
		"priority high":        "no job is named: want handles or unique ids, or --function, --older-than and the like",
		"priority top " + last: `the priority: "top" is unknown: it must be high, normal or low`,
		"front":                "no job is named: want handles or unique ids, or --function, --older-than and the like",
		"front x --function f": "--function and names of jobs exclude each other",
		"front x --dry-run":    "--dry-run and --yes are for jobs that are chosen with --function, --older-than and the like",
		"cancel --function=":   "--function: the value is empty",
		"purge":                "no argument: want names of functions (see gearloop purge --help)",
		"purge f":              "2 jobs of f end: there is no terminal to ask at; add --yes",
	})
	r.submit("g", "", "x")
	r.says("purge f g none --dry-run", `^f: 2 jobs would end\ng: 1 job would end\nnone: 0 jobs would end\n$`)
	r.says("purge f --yes", `^f: 2 jobs ended\n$`)
	r.says("purge f", `^f: 0 jobs ended\n$`)
	await.Until(t, "the list of functions has g", func() bool { return r.ok("status", "--no-headers", "g") != "" })
	r.says("purge g* --yes --json", `^{"target":"g","changed":true,"count":1}\n$`)
}

// TestBulk acts on all jobs that a filter means: it counts them, wants to be told so, and says how many it
// changed.
func TestBulk(t *testing.T) {
	r := newBroker(t)
	c := wire.Dial(t, r.server.Addr)
	for i := range 150 {
		c.Submit(codec.SubmitJobBg, "f", fmt.Sprintf("u%03d", i), "text")
	}
	c.Submit(codec.SubmitJobBg, "g", "other", "needle")
	r.says("cancel --function f --dry-run", `^150 jobs would be cancelled\n$`)
	r.says("jobs --contains needle --no-headers", `^g +waiting +H:\S+ .*other\n$`)
	r.says("jobs --unique-prefix u00 --json", `^({"handle":.*"unique":"u00\d".*\n){10}$`)
	r.says("cancel --function none", `^No job matches\n$`)
	r.says("cancel --contains needle --dry-run", `^1 job would be cancelled\n$`)
	r.says("cancel --older-than 1h --dry-run", `^0 jobs would be cancelled\n$`)
	r.mistakes(true, map[string]string{"cancel --function f": "150 jobs will be cancelled: there is no terminal to ask at; add --yes"})
	r.says("priority low --unique-prefix u00 --yes", `^10 jobs have another priority\n$`)
	r.says("give-up --function f --yes", `^No job matches\n$`)
	r.says("cancel --with-priority low --yes --json --reason twice", `^{"id":"[^"]+","action":"cancel","filter":{"priority":"low"},.*"state":"done","matched":10,"changed":10,`)
	r.says("cancel --function f --state waiting --yes", `^140 jobs cancelled\n$`)
	if f := r.function("g"); f.Waiting != 1 {
		t.Errorf("of g %d jobs wait", f.Waiting)
	}
}
