// Package httphost decides by its Host header whether an HTTP request is meant for this server.
//
// A page under a name that is not ours was served by somebody else: with DNS rebinding its name may point at
// this machine afterwards, and the page could read from every server here. An IP address cannot be pointed
// elsewhere, so every address is accepted.
package httphost

import (
	"net/netip"
	"strings"
)

// Any, in the list for New, accepts every name.
const Any = "*"

// Names are the accepted names of a server.
type Names struct {
	names map[string]bool // lower case, without port and trailing dot
	any   bool
}

// New accepts localhost and names, which are without ports.
func New(names []string) Names {
	n := Names{names: map[string]bool{"localhost": true}}
	for _, name := range names {
		n.any = n.any || name == Any
		n.names[fold(name)] = true
	}
	return n
}

// fold normalizes a host name for comparison.
func fold(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// Ours reports whether a request with this Host may be meant for the server. Old clients send an empty one.
func (n Names) Ours(host string) bool {
	if !isPlain(host) {
		return false
	}
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
		return closed && err == nil && a.Is6() && a.Zone() == "" // a zone may contain any text, even a foreign name
	}
	if a, err := netip.ParseAddr(name); err == nil {
		return a.Is4()
	}
	name = fold(name)
	return n.names[name] || strings.HasSuffix(name, ".localhost")
}

// isPlain reports whether a Host has no character that could end a quoted word of a shell. Names end up in commands
// for a shell, and a browser follows a link to any name under .localhost.
func isPlain(host string) bool {
	return !strings.ContainsFunc(host, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-._:[]%@", c)
	})
}

// withoutPort returns the name or bracketed address of a Host; ok says that only a port or nothing follows.
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
