// Package tlsfiles turns a server's certificate files into a configuration for crypto/tls, and reads them again while
// the server runs: connections that exist keep what they agreed on, new ones meet the new certificates. It says, too,
// what about the files is most likely a mistake.
package tlsfiles
