// Package certs makes certificates for tests: an authority, and what it signs, as files and for
// crypto/tls. Nothing of it may be trusted.
package certs
