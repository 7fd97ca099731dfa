// Package certs makes certificates for tests: an authority, and what it signs, as files and for crypto/tls.
// Do not trust them.
package certs
