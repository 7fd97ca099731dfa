// Package httphost decides whether an HTTP request is meant for this server, by its Host.
//
// The page of a name that is not ours was served by somebody else: a page whose name is pointed at this
// machine afterwards (DNS rebinding) could read from every server here. An address can't be pointed
// elsewhere as a name can, so every address is ours.
package httphost

import (
	"net/netip"
	"strings"
)

// Any in the list given to New takes requests under every name.
const Any = "*"

// Names are the names of a server.
type Names struct {
	names map[string]bool // without port and trailing dot, in small letters
	any   bool
}

// New returns the names localhost and names, without ports.
func New(names []string) Names {
	n := Names{names: map[string]bool{"localhost": true}}
	for _, name := range names {
		n.any = n.any || name == Any
		n.names[fold(name)] = true
	}
	return n
}

// fold returns a host name as it is compared.
func fold(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// Ours reports whether a request with this Host can be meant for the server. Old clients send none.
func (n Names) Ours(host string) bool {
	if host == "" || n.any {
		return true
	}
	name, ok := withoutPort(host)
	if !ok {
		return false
	}
	if v6, ok := strings.CutPrefix(name, "["); ok {
		v6, closed := strings.CutSuffix(v6, "]")
		a, err := netip.ParseAddr(v6)
		return closed && err == nil && a.Is6() && a.Zone() == "" // a zone may hold any text, a foreign name too
	}
	if a, err := netip.ParseAddr(name); err == nil {
		return a.Is4()
	}
	name = fold(name)
	return n.names[name] || strings.HasSuffix(name, ".localhost")
}

// withoutPort returns name or bracketed address of a Host; ok says that what follows is a port or nothing.
func withoutPort(host string) (name string, ok bool) {
	name, port := host, ""
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		name, port = host[:i], host[i+1:]
	}
	for _, digit := range port {
		if digit < '0' || digit > '9' {
			return "", false
		}
	}
	return name, name != ""
}
