// Package tlsfiles turns a server's certificate files into a configuration for crypto/tls, and reads
// them again while the server runs: connections that are there go on with what they agreed on, new
// ones meet the new certificates.
package tlsfiles
