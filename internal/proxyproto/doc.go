// Package proxyproto reads the header of the PROXY protocol, versions 1 and 2: the first bytes of a connection, with
// which a proxy says whose connection it passes on.
//
// A header may be believed from proxies only, whose networks are named. Of other connections the package reads nothing.
package proxyproto
