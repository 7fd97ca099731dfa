package admin

import (
	"fmt"

	"gearloop/sched"
)

// Origin is where a connection comes from. It decides which text commands the connection may send.
type Origin uint8

// The zero value has the fewest rights.
const (
	Network    Origin = iota // an address that is not loopback
	Loopback                 // 127.0.0.0/8 or ::1: this machine, or a proxy on it
	UnixSocket               // a unix socket: the users that its mode admits
)

// Allow says which connections may send text commands that change the server, its functions or its jobs.
type Allow uint8

const (
	AllowLocal Allow = iota // loopback and unix sockets
	AllowAny                // every connection
	AllowUnix               // unix sockets only: for a server behind a proxy on the same machine
	AllowNone               // no connection
)

var allowNames = [...]string{AllowLocal: "local", AllowAny: "any", AllowUnix: "unix", AllowNone: "none"}

func (a Allow) String() string { return allowNames[a] }

// ParseAllow returns the Allow of that name: local, any, unix or none.
func ParseAllow(name string) (Allow, error) {
	for a, n := range allowNames {
		if n == name {
			return Allow(a), nil
		}
	}
	return 0, fmt.Errorf("%q is unknown: it must be local, any, unix or none", name)
}

// permits reports whether a connection of that origin may send a command that changes something.
func (a Allow) permits(from Origin) bool {
	switch a {
	case AllowAny:
		return true
	case AllowLocal:
		return from == Loopback || from == UnixSocket
	case AllowUnix:
		return from == UnixSocket
	}
	return false
}

// who returns the subject of the sentence that a refused peer gets.
func (a Allow) who() string {
	switch a {
	case AllowLocal:
		return "Only local connections"
	case AllowUnix:
		return "Only connections over a unix socket"
	}
	return "No connection"
}

// right returns the right that a command needs.
func (cmd *command) right() sched.Right {
	if cmd.changes {
		return sched.MayAdminister
	}
	return sched.MayLook
}

// may reports whether the peer's rights are enough for a command, as far as that does not depend on the
// function that it names.
func (c *call) may(cmd command) bool {
	if cmd.whole {
		return c.rights.All()&cmd.right() != 0
	}
	return c.rights.Some()&cmd.right() != 0
}

// mayChange reports whether the peer may change a function.
func (c *call) mayChange(function string) bool {
	return c.rights == nil || c.rights.Of(function)&sched.MayAdminister != 0
}

// sees reports whether the peer may see a function and its jobs in a table.
func (c *call) sees(function string) bool {
	return c.rights == nil || c.rights.Of(function)&sched.MayLook != 0
}

// seesAll reports whether the peer may see every function.
func (c *call) seesAll() bool {
	return c.rights == nil || c.rights.All()&sched.MayLook != 0
}

// refuse answers a command that the peer has no right to, and counts that.
func (c *call) refuse(want sched.Right, function, name string) {
	c.rights.Refused(want, function)
	c.err(c.Dialect.NotAllowed("Only peers with the right to it"), name)
}
