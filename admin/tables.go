package admin

import (
	"math"
	"strconv"
	"strings"

	"gearloop/sched"
)

// workers tells every connection: descriptor, address, client id and what it can do.
func (c *call) workers() {
	for _, p := range c.Sched.Peers() {
		c.printf("%d %s %s : %s\n", p.FD, ip(p), p.ClientID, strings.Join(p.Functions, " "))
	}
	c.end()
}

// status tells each function: jobs, those of them that run, and workers that can do it.
func (c *call) status() {
	for _, f := range c.Sched.Functions() {
		c.printf("%s\t%d\t%d\t%d\n", f.Name, f.Total, f.Running, f.Workers)
	}
	c.end()
}

// jobs tells each job: function, unique id, address of its worker and number of listeners.
func (c *call) jobs() {
	for _, j := range c.Sched.Jobs() {
		c.printf("%s\t%s\t%s\t%d\n", j.Function, j.Unique, worker(j), len(j.Listeners))
	}
	c.end()
}

// clients tells each connection and under it the jobs that it listens to.
func (c *call) clients() {
	listens := map[*sched.Peer][]sched.JobInfo{}
	for _, j := range c.Sched.Jobs() {
		for _, p := range j.Listeners {
			listens[p] = append(listens[p], j)
		}
	}
	for _, p := range c.Sched.Peers() {
		c.printf("%s\n", address(p.Peer))
		for _, j := range listens[p.Peer] {
			c.printf("\t%s\t%s\t%s\n", j.Function, j.Unique, worker(j))
		}
	}
	c.end()
}

// maxqueue bounds the queue of a function; no number or a negative one takes the bound away.
func (c *call) maxqueue() {
	fields := strings.Fields(c.args)
	if len(fields) == 0 {
		c.err(c.Dialect.IncompleteArgs, "maxqueue")
		return
	}
	bound := -1
	if len(fields) > 1 {
		n, err := strconv.ParseFloat(fields[1], 64)
		if err != nil || n != n {
			c.err(c.Dialect.UnknownArgs, "maxqueue")
			return
		}
		bound = int(max(-1, min(math.Floor(n), math.MaxInt32)))
	}
	if !c.Sched.SetMaxQueue(fields[0], bound) {
		c.err(c.Dialect.QueueFull, "maxqueue")
		return
	}
	c.ok()
}

// ip returns the address of a connection's other end, without its port.
func ip(p sched.PeerInfo) string {
	if !p.Addr.IsValid() {
		return "unix"
	}
	return p.Addr.Addr().String()
}

// address returns the address of a connection's other end.
func address(p *sched.Peer) string {
	if !p.Addr.IsValid() {
		return "unix:" + strconv.Itoa(p.FD)
	}
	return p.Addr.String()
}

// worker returns the address of a job's worker, "-" while it waits.
func worker(j sched.JobInfo) string {
	if j.Worker == nil {
		return "-"
	}
	return address(j.Worker)
}
