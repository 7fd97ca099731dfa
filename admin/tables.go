package admin

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gearloop/sched"
)

// partFunctions is how many functions of a worker one part of its row has.
const partFunctions = 128

// workers lists every connection: descriptor, address, client id and functions. A peer that may look at some
// functions only sees the connections that can do one of them.
func (c *call) workers() {
	d := c.Dialect
	begun := false // the row
	begin := func(dst []byte, p *sched.PeerInfo) []byte {
		begun = true
		dst = append(strconv.AppendInt(dst, int64(p.FD), 10), ' ')
		dst = append(appendIP(dst, p.Peer), ' ')
		dst = append(appendName(dst, p.ClientID), " :"...)
		if len(p.Abilities) == 0 && !d.LastFunctionFirst {
			dst = append(dst, ' ')
		}
		return dst
	}
	c.eachPeer(func(dst []byte, p *sched.PeerInfo, n int) ([]byte, bool) {
		count := len(p.Abilities)
		if n == 0 {
			begun = false
			if c.seesAll() {
				dst = begin(dst, p)
			}
		}
		last := min((n+1)*partFunctions, count)
		for i := n * partFunctions; i < last; i++ {
			at := i
			if d.LastFunctionFirst {
				at = count - 1 - i
			}
			name := p.Abilities.Function(at)
			if !c.sees(name) {
				continue
			}
			if !begun {
				dst = begin(dst, p)
			}
			dst = appendName(append(dst, ' '), name)
		}
		if last < count {
			return dst, true
		}
		if begun {
			dst = append(dst, '\n')
		}
		return dst, false
	})
}

// status lists each function: its jobs, those that run, and its workers.
func (c *call) status() {
	c.eachFunction(func(dst []byte, f *sched.FunctionInfo, _ int) ([]byte, bool) {
		return appendNumbers(appendName(dst, f.Name), f.Total, f.Running, f.Workers), false
	})
}

// prioritystatus lists each function: its waiting jobs by priority, and its workers.
func (c *call) prioritystatus() {
	c.eachFunction(func(dst []byte, f *sched.FunctionInfo, _ int) ([]byte, bool) {
		return appendNumbers(appendName(dst, f.Name), f.Waiting[0], f.Waiting[1], f.Waiting[2], f.Workers), false
	})
}

// jobs lists each job: function, unique id, address of its worker and number of listeners.
func (c *call) jobs() {
	c.eachJob(func(dst []byte, j *sched.JobInfo, _ int) ([]byte, bool) {
		return appendNumbers(appendJob(dst, j), j.Listeners), false
	})
}

// clients lists each connection and under it the jobs that it listens to. A peer that may look at some
// functions only sees the connections that listen to a job of one of them.
func (c *call) clients() {
	var untold *sched.Peer // the connection whose row is not written
	c.eachClient(func(dst []byte, i *sched.ClientInfo, _ int) ([]byte, bool) {
		switch {
		case !i.IsJob && !c.seesAll():
			untold = i.Peer
			return dst, false
		case !i.IsJob:
			return append(appendAddress(dst, i.Peer), '\n'), false
		case !c.sees(i.Job.Function):
			return dst, false
		}
		if untold == i.Peer {
			dst = append(appendAddress(dst, i.Peer), '\n')
		}
		untold = nil
		return append(appendJob(append(dst, '\t'), &i.Job), '\n'), false
	})
}

// show lists jobs in the form of the C server. "show jobs" has for each job its handle, how many workers lost
// it, 1 if nobody wants it any more, and 1 if it is a background job. "show unique jobs" has the unique id.
func (c *call) show() {
	switch fields := strings.Fields(strings.ToLower(c.args)); {
	case len(fields) == 0:
		c.err(c.Dialect.UnknownCommand, "show")
	case len(fields) == 1 && fields[0] == "jobs":
		c.eachJob(func(dst []byte, j *sched.JobInfo, _ int) ([]byte, bool) {
			return appendNumbers(c.Sched.AppendHandle(dst, j.Number), j.Retries, digit(!j.Wanted), digit(j.Background)), false
		})
	case len(fields) == 2 && fields[0] == "unique" && fields[1] == "jobs":
		c.eachJob(func(dst []byte, j *sched.JobInfo, _ int) ([]byte, bool) {
			if j.Unique == "." {
				return append(dst, "%2E\n"...), false // a dot alone ends the table
			}
			return append(appendName(dst, j.Unique), '\n'), false
		})
	default:
		c.err(c.Dialect.UnknownShow, "show")
	}
}

// gladiator lists the number of live objects of each kind, rarest first. Kinds with at most one object are
// listed with "gladiator all" only. It shows leaks.
func (c *call) gladiator() {
	c.table = &Table{&objectRows{objects: c.Objects, counts: c.Sched.WalkCounts(), everything: c.args == "all"}}
}

// objectRows is the table of gladiator. Its only step produces all of it.
type objectRows struct {
	objects    func() []Objects // the server's
	counts     *sched.CountWalk
	everything bool
}

func (r *objectRows) next(dst []byte) (out []byte, looked int, more bool) {
	n, more := r.counts.Next()
	if !more {
		dst = append(appendObjects(dst, append(r.objects(), scheduled(n)...), r.everything), end...)
	}
	return dst, r.counts.Looked(), more
}

func (r *objectRows) size() int { return 0 }

// scheduled returns the counts of the scheduler's objects.
func scheduled(n sched.Counts) []Objects {
	return []Objects{
		{"peer", n.Peers}, {"function", n.Functions}, {"ability", n.Abilities},
		{"sleeper", n.Sleepers}, {"job queued", n.Queued}, {"job running", n.Running},
		{"job delayed", n.Delayed}, {"listener", n.Listeners}, {"unique id", n.Unique},
		{"byte of memory for jobs and functions", int(n.Memory)},
	}
}

// appendObjects appends a row for each kind of object, rarest first; kinds with at most one only if
// everything is set.
func appendObjects(dst []byte, all []Objects, everything bool) []byte {
	slices.SortStableFunc(all, func(a, b Objects) int { return cmp.Compare(a.Count, b.Count) })
	for _, o := range all {
		if o.Count > 1 || everything {
			dst = fmt.Appendf(dst, "%7d %s\n", o.Count, o.Name)
		}
	}
	return dst
}

// appendNumbers appends the end of a row: numbers, a tab before each.
func appendNumbers(dst []byte, numbers ...int) []byte {
	for _, n := range numbers {
		dst = strconv.AppendInt(append(dst, '\t'), int64(n), 10)
	}
	return append(dst, '\n')
}

// appendJob appends a job's function, unique id and the address of its worker, "-" while it waits.
func appendJob(dst []byte, j *sched.JobInfo) []byte {
	dst = append(appendName(dst, j.Function), '\t')
	dst = append(appendName(dst, j.Unique), '\t')
	if j.Worker == nil {
		return append(dst, '-')
	}
	return appendAddress(dst, j.Worker)
}

// appendIP appends the address of a connection's other end, without its port.
func appendIP(dst []byte, p *sched.Peer) []byte {
	if !p.Addr.IsValid() {
		return append(dst, "unix"...)
	}
	return p.Addr.Addr().AppendTo(dst)
}

// appendAddress appends the address of a connection's other end.
func appendAddress(dst []byte, p *sched.Peer) []byte {
	if !p.Addr.IsValid() {
		return strconv.AppendInt(append(dst, "unix:"...), int64(p.FD), 10)
	}
	return p.Addr.AppendTo(dst)
}

func digit(b bool) int {
	if b {
		return 1
	}
	return 0
}
