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
	// Brokers, if not nil, recognizes other brokers of the same store.
	Brokers Brokers
	// Objects counts what the server itself has, beside the scheduler's objects.
	Objects func() []Objects
}

// Asker is who sends a text command.
type Asker struct {
	From Origin
	// Rights, if not nil, decide instead of Admin.Allow which commands the peer may send, and what it sees in
	// tables.
	Rights sched.Rights
	// Peer is the connection; nil: it can't be answered late, and is no broker.
	Peer *sched.Peer
}

// call is the execution of one command.
type call struct {
	*Admin
	rights sched.Rights // nil: everything that Admin.Allow permits
	peer   *sched.Peer  // see Asker
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
	// may send such a command; every peer may send the others. Where peers have rights, these decide.
	changes bool
	// whole says that the command is about the server as a whole: it needs the right to every function.
	whole bool
	// anyone says that no right is needed to send the command.
	anyone bool
}

var commands = map[string]command{
	"workers":        {run: (*call).workers},
	"status":         {run: (*call).status},
	"prioritystatus": {run: (*call).prioritystatus},
	"jobs":           {run: (*call).jobs},
	"clients":        {run: (*call).clients},
	"show":           {run: (*call).show},
	"gladiator":      {run: (*call).gladiator, whole: true},
	"version":        {run: (*call).version},
	"getpid":         {run: (*call).getpid},
	"verbose":        {run: (*call).verbose},
	"maxqueue":       {run: (*call).maxqueue, changes: true},
	"cancel":         {run: (*call).cancel, changes: true},
	"create":         {run: (*call).create, changes: true},
	"drop":           {run: (*call).drop, changes: true},
	"shutdown":       {run: (*call).shutdown, changes: true, whole: true},
	"peer":           {run: (*call).introduce, anyone: true},
}

// Execute runs the command of one line. The answer is text or, if it may be long, a table; the other one is
// nil. from is who sent it, now the present time. Packets and timers that the command causes are added to fx.
func (a *Admin) Execute(line []byte, from Asker, now time.Time, fx *sched.Effects) (text []byte, table *Table, action Action) {
	name, args := codec.Command(line)
	c := &call{Admin: a, rights: from.Rights, peer: from.Peer, args: args, now: now, fx: fx}
	cmd, ok := commands[name]
	broker := name == "cancel" && from.Peer != nil && from.Peer.Broker
	if broker {
		c.rights = nil
	}
	switch {
	case !ok:
		word, _, _ := bytes.Cut(line, []byte(" "))
		c.err(a.Dialect.UnknownCommand, string(word))
	case cmd.anyone, broker:
		cmd.run(c)
	case from.Rights != nil && !c.may(cmd):
		c.refuse(cmd.right(), "", name)
	case from.Rights == nil && cmd.changes && !a.Allow.permits(from.From):
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
