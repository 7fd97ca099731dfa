package acl

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"gearloop/internal/glob"
	"gearloop/sched"
)

// rules are the content of a file. They are immutable.
type rules struct {
	sections []*section
}

// section is a part of the file.
type section struct {
	name string
	line int // of its heading

	// Who. nil: any.
	certificates patterns
	users        []int // anyUser is any
	networks     []netip.Prefix

	// What.
	some, all sched.Right            // to at least one function, and to every one
	exact     map[string]sched.Right // by name
	wild      []wildRight
}

// wildRight grants rights to the functions of a pattern.
type wildRight struct {
	glob.Pattern
	right sched.Right
}

// allow adds rights to the functions of a pattern.
func (s *section) allow(right sched.Right, p glob.Pattern) {
	s.some |= right
	name, isExact := p.Exact()
	switch {
	case p.All():
		s.all |= right
	case !isExact:
		s.wild = append(s.wild, wildRight{p, right})
	default:
		if s.exact == nil {
			s.exact = map[string]sched.Right{}
		}
		s.exact[name] |= right
	}
}

// to returns the section's rights to a function.
func (s *section) to(function string) sched.Right {
	granted := s.all | s.exact[function]
	for i := range s.wild {
		if w := &s.wild[i]; w.right&^granted != 0 && w.Match(function) {
			granted |= w.right
		}
	}
	return granted
}

// anyUser stands for every user of a unix socket.
const anyUser = -1

// rights are the rights of the keys, in the order of rightKeys.
var rights = [...]sched.Right{sched.MaySubmit, sched.MayWork, sched.MayLook, sched.MayAdminister}

const rightKinds = len(rights)

var rightKeys = [rightKinds]string{"submit", "work", "look", "admin"}

// Who describes a connection for matching.
type Who struct {
	Addr  netip.Addr // remote address; invalid for a unix socket
	User  int        // of a unix socket: the number of the connected user; otherwise NoUser
	Names []string   // names in its certificate, which must have been verified
}

// NoUser is the Who.User of a connection that is not over a unix socket, or if the system does not say.
const NoUser = -1

// String describes the connection, for messages.
func (w *Who) String() string {
	var words []string
	switch {
	case w.Addr.IsValid():
		words = append(words, w.Addr.String())
	case w.User == NoUser:
		words = append(words, "unix socket")
	default:
		words = append(words, fmt.Sprintf("user %d", w.User))
	}
	for _, n := range w.Names {
		words = append(words, strconv.Quote(n))
	}
	return strings.Join(words, " ")
}

// sectionsOf returns the sections that match a connection, in the order of the file.
func (r *rules) sectionsOf(w *Who) (all []*section) {
	for _, s := range r.sections {
		if s.matches(w) {
			all = append(all, s)
		}
	}
	return all
}

// matches reports whether the section matches a connection.
func (s *section) matches(w *Who) bool {
	switch {
	case s.certificates != nil && !slices.ContainsFunc(w.Names, s.certificates.matches):
		return false
	case s.users != nil && (w.User == NoUser || !slices.Contains(s.users, w.User) && !slices.Contains(s.users, anyUser)):
		return false
	case s.networks != nil && !slices.ContainsFunc(s.networks, func(n netip.Prefix) bool { return n.Contains(w.Addr) }):
		return false
	}
	return true
}
