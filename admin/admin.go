package admin

import (
	"bytes"
	"os"
	"strconv"

	"gearloop/codec"
	"gearloop/internal/dialect"
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
	// Verbose is how much is logged, as "verbose" tells it.
	Verbose string
	// Objects counts what the server itself has, beside the scheduler's objects.
	Objects func() []Objects
}

// call is one command on its way.
type call struct {
	*Admin
	args   string
	out    []byte // the answer, unless it is a table
	table  *Table
	fx     *sched.Effects
	action Action
}

// right is what a peer must be allowed to send a command. Whoever can submit a job should not be
// able to end the broker: what changes something is for local connections only, unless the dialect
// or Admin.Remote says otherwise.
type right uint8

const (
	look    right = iota // changes nothing
	change               // changes functions or jobs
	control              // changes the server
)

// command is a text command.
type command struct {
	run   func(*call)
	right right
}

var commands = map[string]command{
	"workers":        {(*call).workers, look},
	"status":         {(*call).status, look},
	"prioritystatus": {(*call).prioritystatus, look},
	"jobs":           {(*call).jobs, look},
	"clients":        {(*call).clients, look},
	"show":           {(*call).show, look},
	"gladiator":      {(*call).gladiator, look},
	"version":        {(*call).version, look},
	"getpid":         {(*call).getpid, look},
	"verbose":        {(*call).verbose, look},
	"maxqueue":       {(*call).maxqueue, change},
	"cancel":         {(*call).cancel, change},
	"create":         {(*call).create, change},
	"drop":           {(*call).drop, change},
	"shutdown":       {(*call).shutdown, control},
}

// Execute does what one line asks for, and answers it: with text or, if the answer may be long, with a
// table; the other one is nil. local says that the line comes from this machine. What the command
// wants sent to others is added to fx.
func (a *Admin) Execute(line []byte, local bool, fx *sched.Effects) (text []byte, table *Table, action Action) {
	name, args := codec.Command(line)
	c := &call{Admin: a, args: args, fx: fx}
	cmd, ok := commands[name]
	allowed := local || a.Remote || cmd.right == look || cmd.right == change && a.Dialect.RemoteChanges
	switch {
	case !ok:
		word, _, _ := bytes.Cut(line, []byte(" "))
		c.err(a.Dialect.UnknownCommand, string(word))
	case !allowed:
		c.err(a.Dialect.NotAllowed, name)
	default:
		cmd.run(c)
	}
	return c.out, c.table, c.action
}

func (c *call) err(e dialect.Error, what string) {
	c.out = append(c.out, c.Dialect.ERR(e, what)...)
}

func (c *call) ok() { c.out = append(c.out, c.Dialect.OK...) }

// version tells the version of the server.
func (c *call) version() { c.out = append(c.out, c.Dialect.Version(c.Version)...) }

// getpid tells the process id of the server.
func (c *call) getpid() { c.out = append(c.out, c.Dialect.Answer(strconv.Itoa(os.Getpid()))...) }

// verbose tells how much is logged.
func (c *call) verbose() { c.out = append(c.out, c.Dialect.Answer(c.Verbose)...) }

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
