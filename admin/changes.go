package admin

import (
	"math"
	"strconv"
	"strings"

	"gearloop/sched"
)

// maxqueue bounds the queue of a function: one number for all priorities, or one each for high,
// normal and low. No number or a negative one removes the bound.
func (c *call) maxqueue() {
	fields := strings.Fields(c.args)
	if len(fields) == 0 {
		c.err(c.Dialect.IncompleteArgs, "maxqueue")
		return
	}
	if !c.mayChange(fields[0]) {
		c.refuse(sched.MayAdminister, fields[0], "maxqueue")
		return
	}
	bounds := [sched.Priorities]int32{-1, -1, -1}
	fields = fields[:min(len(fields), 1+c.Dialect.QueueBounds)]
	for p, text := range fields[1:] {
		bound, ok := c.bound(text)
		if !ok {
			c.err(c.Dialect.UnknownArgs, "maxqueue")
			return
		}
		bounds[p] = bound
	}
	if len(fields) == 2 {
		bounds = [sched.Priorities]int32{bounds[0], bounds[0], bounds[0]}
	}
	if !c.Sched.SetMaxQueue(fields[0], bounds) {
		c.err(c.Dialect.QueueFull, "maxqueue")
		return
	}
	c.ok()
}

// bound parses a number of maxqueue; -1 is no bound.
func (c *call) bound(text string) (int32, bool) {
	n, err := strconv.ParseFloat(text, 64)
	switch {
	case c.Dialect.ZeroQueueIsNoBound && (err != nil || !(n >= 1)):
		return -1, true // what is no number is 0 to the C server
	case err != nil || n != n:
		return 0, false
	}
	return int32(max(-1, min(math.Floor(n), math.MaxInt32))), true
}

// cancel ends a job: "cancel job HANDLE".
func (c *call) cancel() {
	what, handle, _ := strings.Cut(c.args, " ")
	handle = strings.TrimSpace(handle)
	switch {
	case handle == "":
		c.err(c.Dialect.UnknownCommand, "cancel")
	case !strings.EqualFold(what, "job"):
		c.err(c.Dialect.UnknownCancel, "cancel")
	case c.mayCancel(handle) && c.Sched.Cancel(handle, c.now, c.fx):
		c.ok()
	case !c.cancelElsewhere(handle):
		c.err(c.Dialect.UnknownJob, "cancel")
	}
}

// cancelElsewhere has another broker of the same store cancel a job, and answers late. It returns false if
// none can have it. The job's function is known to that broker alone, so the peer needs the right to all.
func (c *call) cancelElsewhere(handle string) bool {
	if c.peer == nil || c.peer.Broker || c.rights != nil && c.rights.All()&sched.MayAdminister == 0 {
		return false
	}
	d := c.Dialect
	return c.Sched.CancelFor(c.peer, handle, func(known bool, err error) []byte {
		switch {
		case err != nil:
			return []byte(d.ERR(d.SilentBroker, "cancel"))
		case !known:
			return []byte(d.ERR(d.UnknownJob, "cancel"))
		}
		return []byte(d.OK)
	}, c.fx)
}

// mayCancel reports whether the peer may change the function of a job. One that it may not is to it as one
// that is not there.
func (c *call) mayCancel(handle string) bool {
	if c.rights == nil {
		return true
	}
	function, ok := c.Sched.FunctionOf(handle)
	return ok && c.mayChange(function)
}

// create adds a function: "create function NAME".
func (c *call) create() {
	switch name, ok := c.function(); {
	case !ok:
		c.err(c.Dialect.IncompleteArgs, "create")
	case !c.mayChange(name):
		c.refuse(sched.MayAdminister, name, "create")
	case !c.Sched.CreateFunction(name):
		c.err(c.Dialect.QueueFull, "create")
	default:
		c.ok()
	}
}

// drop removes a function that no worker can do, and its jobs: "drop function NAME".
func (c *call) drop() {
	name, ok := c.function()
	if !ok {
		c.err(c.Dialect.IncompleteArgs, "drop")
		return
	}
	if !c.mayChange(name) {
		c.refuse(sched.MayAdminister, name, "drop")
		return
	}
	switch known, inUse := c.Sched.DropFunction(name, c.now, c.fx); {
	case !known:
		c.err(c.Dialect.NoFunction, "drop")
	case inUse:
		c.err(c.Dialect.FunctionInUse, "drop")
	default:
		c.ok()
	}
}

// function returns NAME of the arguments "function NAME".
func (c *call) function() (name string, ok bool) {
	fields := strings.Fields(c.args)
	if len(fields) != 2 || !strings.EqualFold(fields[0], "function") || len(fields[1]) > sched.MaxFunction {
		return "", false
	}
	return fields[1], true
}
