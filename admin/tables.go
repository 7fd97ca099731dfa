package admin

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gearloop/sched"
)

// workers tells every connection: descriptor, address, client id and what it can do.
func (c *call) workers() {
	for _, p := range c.Sched.Peers() {
		if c.Dialect.LastFunctionFirst {
			slices.Reverse(p.Functions)
			c.printf("%s\n", strings.Join(append([]string{fmt.Sprintf("%d %s %s :", p.FD, ip(p), p.ClientID)}, p.Functions...), " "))
			continue
		}
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

// prioritystatus tells each function: jobs that wait by priority, and workers that can do it.
func (c *call) prioritystatus() {
	for _, f := range c.Sched.Functions() {
		c.printf("%s\t%d\t%d\t%d\t%d\n", f.Name, f.Waiting[0], f.Waiting[1], f.Waiting[2], f.Workers)
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

// show tells of jobs in the form of the C server.
func (c *call) show() {
	switch fields := strings.Fields(strings.ToLower(c.args)); {
	case len(fields) == 0:
		c.err(c.Dialect.UnknownCommand, "show")
		return
	case len(fields) == 1 && fields[0] == "jobs":
		c.showJobs()
	case len(fields) == 2 && fields[0] == "unique" && fields[1] == "jobs":
		for _, j := range c.Sched.Jobs() {
			c.printf("%s\n", j.Unique)
		}
	default:
		c.err(c.Dialect.UnknownShow, "show")
		return
	}
	c.end()
}

// showJobs tells each job: handle, how many workers lost it, 1 if nobody wants it any more, 1 if it
// is a background job.
func (c *call) showJobs() {
	for _, j := range c.Sched.Jobs() {
		c.printf("%s\t%d\t%d\t%d\n", j.Handle, j.Retries, digit(!j.Wanted), digit(j.Background))
	}
}

func digit(b bool) int {
	if b {
		return 1
	}
	return 0
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
