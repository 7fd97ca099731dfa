package tlsfiles

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
)

// Files are the files of a server, all of them PEM.
type Files struct {
	Certificate string // the server's, followed by those between it and its authority
	Key         string // the private key that goes with it, not encrypted
	CA          string // the authorities that clients' certificates come from; may be empty
	// RequireClient lets only clients in that show a certificate from CA. Others' certificates are not asked for.
	RequireClient bool
}

// Source is where a server's configuration comes from. It may be used by any goroutine.
type Source struct {
	files   Files
	current atomic.Pointer[tls.Config]
}

// Open reads the files. An error says in one line which of them is at fault.
func Open(f Files) (*Source, error) {
	s := &Source{files: f}
	return s, s.Reload()
}

// Reload reads the files again, for connections that come from now on. When one of them is at fault, all stays as it was.
func (s *Source) Reload() error {
	config, err := s.files.read()
	if err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	s.current.Store(config)
	return nil
}

// Config returns a configuration for a server that always follows the files.
func (s *Source) Config() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS12,
		SessionTicketsDisabled: true,
		GetConfigForClient:     func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.current.Load(), nil },
	}
}

// read makes a configuration of the files.
func (f *Files) read() (*tls.Config, error) {
	switch {
	case f.Certificate == "":
		return nil, errors.New("there is no certificate file")
	case f.Key == "":
		return nil, errors.New("there is no key file")
	case f.RequireClient && f.CA == "":
		return nil, errors.New("client certificates are required, but there is no CA file to check them with")
	}
	certificate, err := os.ReadFile(f.Certificate)
	if err != nil {
		return nil, fmt.Errorf("certificate file: %w", err)
	}
	key, err := os.ReadFile(f.Key)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("certificate file %s with key file %s: %w", f.Certificate, f.Key, err)
	}
	config := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{pair},
		// Connections last long, so that to resume one saves little; and a ticket would let clients in whose
		// certificate is not taken any more.
		SessionTicketsDisabled: true,
		// Output is gathered before it is encrypted: small records gain nothing.
		DynamicRecordSizingDisabled: true,
	}
	if f.CA == "" {
		return config, nil
	}
	authorities, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("CA file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authorities) {
		return nil, fmt.Errorf("CA file %s: no certificate in it", f.CA)
	}
	if f.RequireClient {
		config.ClientCAs, config.ClientAuth = pool, tls.RequireAndVerifyClientCert
	}
	return config, nil
}
