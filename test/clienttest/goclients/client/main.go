// Command client runs one scenario on the client of g2:
//
//	client HOST:PORT SCENARIO [ARG...]
//
// The library hears of a job's end only once it has put the job's handler in
// place, after JOB_CREATED: a worker that is quicker than that goes unheard. So
// the scenarios submit everything, print "submitted", and the test lets the
// workers go only then.
package main

import (
	"bytes"
	"crypto/md5"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/appscode/g2/client"
	"github.com/appscode/g2/pkg/runtime"
)

var priorities = map[string]byte{"normal": runtime.JobNormal, "low": runtime.JobLow, "high": runtime.JobHigh}

var scenarios = map[string]func(*client.Client, []string) error{
	"tasks":      tasks,
	"background": background,
	"dispatch":   dispatch,
	"ping":       ping,
	"large":      large,
	"later":      later,
	"schedule":   schedule,
	"pool":       nil, // makes its own connections
}

func main() {
	// What the library logs would go to files otherwise.
	if err := flag.Set("logtostderr", "true"); err != nil {
		panic(err)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(server, scenario string, args []string) error {
	if scenario == "pool" {
		return pool(strings.Split(server, ","), args)
	}
	c, err := client.New("tcp", server)
	if err != nil {
		return err
	}
	defer c.Close()
	c.ResponseTimeout = 5 * time.Minute // the test gives up earlier
	// A state without numbers is an error for it, which it reports here besides
	// the state.
	c.ErrorHandler = func(err error) { fmt.Fprintln(os.Stderr, "client:", err) }
	return scenarios[scenario](c, args)
}

// separate waits until the library has done with the answer to the last call. It
// takes an answer's handler away only after having told the caller, and so takes
// that of the caller's next call when it is for the same kind of answer. An echo
// in between keeps two of a kind apart.
func separate(c *client.Client) error {
	_, err := c.Echo([]byte("separate"))
	return err
}

// submit submits PRIORITY:FUNC:ARG and returns where its events arrive; the
// channel is closed at the job's end.
func submit(c *client.Client, task string) (<-chan string, error) {
	words := strings.SplitN(task, ":", 3)
	events := make(chan string, 64)
	say := func(kind string, data []byte) { events <- fmt.Sprintf("%s %s %s", words[1], kind, data) }
	_, err := c.Do(words[1], []byte(words[2]), priorities[words[0]], func(r *client.Response) {
		switch r.DataType {
		case runtime.PT_WorkStatus:
			s, err := r.Status()
			if err != nil {
				say("bad status", []byte(err.Error()))
				return
			}
			say("status", fmt.Appendf(nil, "%d/%d", s.Numerator, s.Denominator))
		case runtime.PT_WorkData:
			say("data", r.Data)
		case runtime.PT_WorkWarning:
			say("warning", r.Data)
		case runtime.PT_WorkComplete:
			say("complete", r.Data)
			close(events)
		case runtime.PT_WorkException:
			say("exception", r.Data)
			close(events)
		case runtime.PT_WorkFail:
			say("fail", nil)
			close(events)
		}
	})
	if err != nil {
		return nil, err
	}
	return events, separate(c)
}

// tasks submits all of PRIORITY:FUNC:ARG... and prints their events, task by task.
func tasks(c *client.Client, args []string) error {
	var all []<-chan string
	for _, task := range args {
		events, err := submit(c, task)
		if err != nil {
			return err
		}
		all = append(all, events)
	}
	fmt.Println("submitted")
	for _, events := range all {
		for e := range events {
			fmt.Println(strings.TrimSpace(e))
		}
	}
	return nil
}

func state(c *client.Client, handle string) (string, error) {
	s, err := c.Status(handle)
	if err != nil {
		return "", err
	}
	if err := separate(c); err != nil {
		return "", err
	}
	switch {
	case !s.Known:
		return "unknown", nil
	case !s.Running:
		return "queued", nil
	case s.Denominator == 0:
		return "running", nil
	}
	return fmt.Sprintf("running %d/%d", s.Numerator, s.Denominator), nil
}

func becomes(c *client.Client, handle, want string) error {
	for {
		got, err := state(c, handle)
		if err != nil {
			return err
		}
		if got == want {
			fmt.Println("state", got)
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// background takes the path of a gate.
func background(c *client.Client, args []string) error {
	handle, err := c.DoBg("progress", []byte(args[0]), runtime.JobNormal)
	if err != nil {
		return err
	}
	fmt.Println("handle", handle)
	for _, want := range []string{"queued", "running 3/7", "unknown"} {
		if err := becomes(c, handle, want); err != nil {
			return err
		}
	}
	return nil
}

// dispatch submits background jobs PRIORITY:ARG.
func dispatch(c *client.Client, args []string) error {
	for _, job := range args {
		priority, arg, _ := strings.Cut(job, ":")
		if _, err := c.DoBg("note", []byte(arg), priorities[priority]); err != nil {
			return err
		}
		if err := separate(c); err != nil {
			return err
		}
	}
	fmt.Println("submitted")
	return nil
}

func ping(c *client.Client, _ []string) error {
	for _, data := range [][]byte{[]byte("x"), bytes.Repeat([]byte("longer\x00"), 500)} {
		echo, err := c.Echo(data)
		if err != nil {
			return err
		}
		fmt.Println("ping", bytes.Equal(echo, data))
		if _, err := c.Status("H:nowhere:1"); err != nil { // keeps two echoes apart
			return err
		}
	}
	return nil
}

// large takes two sizes: of an argument that is sent, and of one that comes back
// too. The library's own reading grows with the square of the second.
func large(c *client.Client, args []string) error {
	var sizes [2]int
	for i := range sizes {
		var err error
		if sizes[i], err = strconv.Atoi(args[i]); err != nil {
			return err
		}
	}
	data := bytes.Repeat([]byte("\x00some bytes\xff\n"), 1+max(sizes[0], sizes[1])/13)
	sent, returned := data[:sizes[0]], data[:sizes[1]]
	digests, echoes := make(chan []byte, 1), make(chan []byte, 1)
	into := func(to chan []byte) client.ResponseHandler {
		return func(r *client.Response) { to <- r.Data }
	}
	if _, err := c.Do("digest", sent, runtime.JobNormal, into(digests)); err != nil {
		return err
	}
	if err := separate(c); err != nil {
		return err
	}
	if _, err := c.Do("echo", returned, runtime.JobNormal, into(echoes)); err != nil {
		return err
	}
	fmt.Println("submitted")
	fmt.Println("digest", string(<-digests) == fmt.Sprintf("%x", md5.Sum(sent)))
	fmt.Println("echo", bytes.Equal(<-echoes, returned))
	return nil
}

// later takes seconds since 1970 and an argument.
func later(c *client.Client, args []string) error {
	seconds, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		return err
	}
	handle, err := c.DoAt("note", seconds, []byte(args[1]))
	fmt.Println("accepted", handle)
	return err
}

// schedule takes a cron expression and an argument.
func schedule(c *client.Client, args []string) error {
	handle, err := c.DoCron("note", args[0], []byte(args[1]))
	fmt.Println("accepted", handle)
	return err
}

// pool spreads background jobs over several servers.
func pool(servers, args []string) error {
	p := client.NewPool()
	for _, s := range servers {
		if err := p.Add("tcp", s, 1); err != nil {
			return err
		}
	}
	defer p.Close()
	p.SelectionHandler = client.SelectRandom
	for _, s := range servers {
		echo, err := p.Echo(s, []byte("hello"))
		if err != nil {
			return err
		}
		fmt.Printf("ping %s\n", echo)
	}
	return nil
}
