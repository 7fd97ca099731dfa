// Package tlsfiles builds a crypto/tls configuration from a server's certificate files, and reads them again
// while the server runs: existing connections are not affected, new ones use the new certificates. It also
// reports likely mistakes in the files.
package tlsfiles
