package admin

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/sched"
)

// Action is what the server has to do once the answer is sent.
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

// Admin answers text commands. Its fields must not change after the first one.
type Admin struct {
	Sched   *sched.Sched
	Dialect *dialect.Dialect
	Version string // of Gearloop, without prefix
	// Allow says who may send the commands that change something.
	Allow Allow
	// Verbose is the answer to "verbose": the name of the log level.
	Verbose string
	// Objects counts what the server itself has, beside the scheduler's objects.
	Objects func() []Objects
}

// call is the execution of one command.
type call struct {
	*Admin
	args   string
	now    time.Time
	out    []byte // the answer, unless it is a table
	table  *Table
	fx     *sched.Effects
	action Action
}

// command is a text command.
type command struct {
	run func(*call)
	// changes says that the command changes the server, its functions or its jobs. Admin.Allow decides who
	// may send such a command; every peer may send the others.
	changes bool
}

var commands = map[string]command{
	"workers":        {(*call).workers, false},
	"status":         {(*call).status, false},
	"prioritystatus": {(*call).prioritystatus, false},
	"jobs":           {(*call).jobs, false},
	"clients":        {(*call).clients, false},
	"show":           {(*call).show, false},
	"gladiator":      {(*call).gladiator, false},
	"version":        {(*call).version, false},
	"getpid":         {(*call).getpid, false},
	"verbose":        {(*call).verbose, false},
	"maxqueue":       {(*call).maxqueue, true},
	"cancel":         {(*call).cancel, true},
	"create":         {(*call).create, true},
	"drop":           {(*call).drop, true},
	"shutdown":       {(*call).shutdown, true},
}

// Execute runs the command of one line. The answer is text or, if it may be long, a table; the other one is nil.
// from is the origin of the connection, now the present time. Packets and timers that the command causes are added
// to fx.
func (a *Admin) Execute(line []byte, from Origin, now time.Time, fx *sched.Effects) (text []byte, table *Table, action Action) {
	name, args := codec.Command(line)
	c := &call{Admin: a, args: args, now: now, fx: fx}
	cmd, ok := commands[name]
	switch {
	case !ok:
		word, _, _ := bytes.Cut(line, []byte(" "))
		c.err(a.Dialect.UnknownCommand, string(word))
	case cmd.changes && !a.Allow.permits(from):
		c.err(a.Dialect.NotAllowed(a.Allow.who()), name)
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
