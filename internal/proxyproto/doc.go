// Package proxyproto parses the header of the PROXY protocol, versions 1 and 2: the first bytes of a
// connection, in which a proxy says whose connection it relays.
//
// Headers are trusted only from named networks of proxies. The package reads nothing from other connections.
//
// Files: header.go (parsing), read.go (from a socket, nothing more than the header), listener.go (a
// net.Listener).
package proxyproto
