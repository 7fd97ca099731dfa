package guard

import "fmt"

// Role is what somebody may do. Each includes those before it.
type Role uint8

// The roles. Every action is checked on the server, whatever a page shows.
const (
	Nobody   Role = iota // nothing
	Viewer               // numbers and names
	Reader               // arguments of jobs, too
	Operator             // actions on functions, jobs and connections
	Admin                // draining, reloading and ending the server
)

var roleNames = [...]string{Nobody: "nobody", Viewer: "viewer", Reader: "reader", Operator: "operator", Admin: "admin"}

func (r Role) String() string { return roleNames[r] }

// ParseRole returns the role of that name, from viewer to admin.
func ParseRole(name string) (Role, error) {
	for r := Viewer; r <= Admin; r++ {
		if roleNames[r] == name {
			return r, nil
		}
	}
	return Nobody, fmt.Errorf("%q is none of viewer, reader, operator, admin", name)
}

// Who is somebody who asks for something.
type Who struct {
	Name string // of the token or certificate; the address of who shows neither
	Role Role
	Via  string // token, session, certificate, socket, address
}
