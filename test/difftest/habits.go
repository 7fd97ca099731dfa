package difftest

import (
	"fmt"
	"slices"
	"strings"
)

// Steps that depend on what was received: a worker chooses what to send by the answers. Up to the first
// difference between two servers these are the same for both.

// habits is the state of a connection for such steps.
type habits struct {
	seen   int      // events examined
	asleep bool     // PRE_SLEEP was sent, and no NOOP has arrived
	jobs   []string // handles of the jobs in hand, oldest first
	can    []string // functions registered by toggle
}

// look examines the events since the last call.
func (c *connection) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for ; c.seen < len(c.events); c.seen++ {
		switch e := c.events[c.seen]; {
		case e.kind != packetEvent:
		case packetName(e.number) == "NOOP":
			c.asleep = false
		case strings.HasPrefix(packetName(e.number), "JOB_ASSIGN"):
			handle, _, _ := strings.Cut(e.data, "\x00")
			c.jobs = append(c.jobs, handle)
		}
	}
}

// work makes a connection ask for a job once, with the given packet; if there is none it goes to sleep. It
// does nothing while it sleeps.
func (p *player) work(c *connection, args []string) error {
	c.look()
	if c.asleep || c.isOver() {
		return nil
	}
	number, ok := packetNumber(strings.Join(args, " "))
	if !ok {
		return fmt.Errorf("work with %q?", args)
	}
	if err := c.write(frame(number, "")); err != nil {
		return err
	}
	from, got := len(c.jobs), false
	if !c.await(func() bool {
		for _, e := range c.events[c.seen:] {
			got = got || e.kind == packetEvent && packetName(e.number) == "NO_JOB"
			if got || e.kind == packetEvent && strings.HasPrefix(packetName(e.number), "JOB_ASSIGN") {
				return true
			}
		}
		return c.over
	}) {
		return fmt.Errorf("%s: no answer to %s", c.name, args[0])
	}
	if c.look(); len(c.jobs) > from || !got {
		return nil
	}
	preSleep, _ := packetNumber("PRE_SLEEP")
	c.asleep = true
	return c.write(frame(preSleep, ""))
}

// report makes a connection send a packet about its oldest job in hand: the handle, a NUL and the other
// arguments. It does nothing without a job.
func (p *player) report(c *connection, args []string) error {
	c.look()
	if len(c.jobs) == 0 || c.isOver() {
		return nil
	}
	number, ok := packetNumber(args[0])
	if !ok {
		return fmt.Errorf("report %q?", args[0])
	}
	data := strings.Join(append([]string{c.jobs[0]}, args[1:]...), "\x00")
	if slices.Contains([]string{"WORK_COMPLETE", "WORK_FAIL", "WORK_EXCEPTION"}, args[0]) {
		c.jobs = c.jobs[1:]
	}
	if err := c.write(frame(number, data)); err != nil || args[0] != "WORK_EXCEPTION" || p.exceptionEnds {
		return err
	}
	// The protocol requires it after the other.
	fail, _ := packetNumber("WORK_FAIL")
	return c.write(frame(fail, data[:strings.IndexByte(data, 0)]))
}

// awake makes a connection send a packet unless it sleeps.
func (p *player) awake(c *connection, args []string) error {
	c.look()
	number, ok := packetNumber(args[0])
	if !ok {
		return fmt.Errorf("awake %q?", args[0])
	}
	if c.asleep || c.isOver() {
		return nil
	}
	return c.write(frame(number, strings.Join(args[1:], "\x00")))
}

// toggle makes a connection register a function, or unregister it if toggle has registered it. It unregisters
// nothing while it sleeps with a job in hand, or with several jobs.
func (p *player) toggle(c *connection, args []string) error {
	c.look()
	i := slices.Index(c.can, args[0])
	switch {
	case c.isOver() || i >= 0 && (len(c.jobs) > 1 || c.asleep && len(c.jobs) > 0):
		return nil
	case i >= 0:
		c.can = slices.Delete(c.can, i, i+1)
		number, _ := packetNumber("CANT_DO")
		return c.write(frame(number, args[0]))
	}
	c.can = append(c.can, args[0])
	verb := "CAN_DO"
	if len(args) > 1 {
		verb = "CAN_DO_TIMEOUT"
	}
	number, _ := packetNumber(verb)
	return c.write(frame(number, strings.Join(args, "\x00")))
}
