package admin

import (
	"cmp"
	"fmt"
	"slices"

	"gearloop/codec"
	"gearloop/dialect"
	"gearloop/sched"
)

// Action is what the server has to do after the answer was sent.
type Action uint8

const (
	Nothing  Action = iota
	Drain           // stop listening, end when no job is left
	Shutdown        // end now
)

// Objects counts live objects of one kind.
type Objects struct {
	Name  string
	Count int
}

// Admin answers text commands. Its fields are set once, before the first.
type Admin struct {
	Sched   *sched.Sched
	Dialect *dialect.Dialect
	Version string // of Gearloop, without prefix
	// Remote allows commands that change the server to others than local connections.
	Remote bool
	// Objects counts what the server itself has, beside the scheduler's objects.
	Objects func() []Objects
}

// call is one command on its way.
type call struct {
	*Admin
	args   string
	local  bool
	out    []byte
	action Action
}

// command is a text command. One that changes the server is for local connections only, unless
// Admin.Remote is set: whoever can submit a job should not be able to end the broker.
type command struct {
	run     func(*call)
	changes bool
}

var commands = map[string]command{
	"workers":   {run: (*call).workers},
	"status":    {run: (*call).status},
	"jobs":      {run: (*call).jobs},
	"clients":   {run: (*call).clients},
	"gladiator": {run: (*call).gladiator},
	"version":   {run: (*call).version},
	"maxqueue":  {run: (*call).maxqueue, changes: true},
	"shutdown":  {run: (*call).shutdown, changes: true},
}

// Execute answers one line. local says that it comes from this machine.
func (a *Admin) Execute(line []byte, local bool) ([]byte, Action) {
	name, args := codec.Command(line)
	c := &call{Admin: a, args: args, local: local}
	switch cmd, ok := commands[name]; {
	case !ok:
		c.err(a.Dialect.UnknownCommand, string(line))
	case cmd.changes && !local && !a.Remote:
		c.err(a.Dialect.NotAllowed, name)
	default:
		cmd.run(c)
	}
	return c.out, c.action
}

func (c *call) err(e dialect.Error, what string) {
	c.out = append(c.out, c.Dialect.ERR(e, what)...)
}

func (c *call) ok() { c.out = append(c.out, c.Dialect.OK...) }

func (c *call) end() { c.out = append(c.out, ".\n"...) }

func (c *call) printf(format string, a ...any) { c.out = fmt.Appendf(c.out, format, a...) }

// version tells the version of the server.
func (c *call) version() { c.out = append(c.out, c.Dialect.Version(c.Version)...) }

// gladiator tells how many live objects of each kind there are, rarest first; those with one object
// or none only with "gladiator all". It is how a leak is seen.
func (c *call) gladiator() {
	n := c.Sched.Count()
	all := append(c.Objects(),
		Objects{"peer", n.Peers}, Objects{"function", n.Functions}, Objects{"ability", n.Abilities},
		Objects{"sleeper", n.Sleepers}, Objects{"job queued", n.Queued}, Objects{"job running", n.Running},
		Objects{"job delayed", n.Delayed}, Objects{"listener", n.Listeners}, Objects{"unique id", n.Unique},
		Objects{"byte of jobs", int(n.Memory)})
	slices.SortStableFunc(all, func(a, b Objects) int { return cmp.Compare(a.Count, b.Count) })
	for _, o := range all {
		if o.Count > 1 || c.args == "all" {
			c.printf("%7d %s\n", o.Count, o.Name)
		}
	}
	c.end()
}

// shutdown ends the server.
func (c *call) shutdown() {
	switch c.args {
	case "":
		c.action = Shutdown
	case "graceful":
		c.action = Drain
	default:
		c.err(c.Dialect.UnknownArgs, "shutdown")
		return
	}
	c.ok()
}
