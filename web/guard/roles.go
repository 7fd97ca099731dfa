package guard

import "fmt"

// Role is a set of permissions. Each role includes the ones before it.
type Role uint8

// The roles. The server checks every action, whatever a page shows.
const (
	Nobody   Role = iota // nothing
	Viewer               // numbers and names of functions
	Reader               // also jobs, their arguments, connections, and who has done what
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
	return Nobody, fmt.Errorf("%q is unknown: it must be viewer, reader, operator or admin", name)
}

// Who is the author of a request.
type Who struct {
	Name string // of the token or certificate; otherwise the address
	Role Role
	Via  string // token, session, certificate, socket, address
}
