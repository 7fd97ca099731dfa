package tlsfiles

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// Files are a server's files, all in PEM.
type Files struct {
	Certificate string // the server's certificate, followed by intermediate ones
	Key         string // its private key, not encrypted
	CA          string // the authorities for clients' certificates; may be empty
	// RequireClient accepts only clients with a certificate from CA. Otherwise no certificate is requested.
	RequireClient bool
	// AskClient requests a certificate from clients, and also accepts those without one. A certificate that is
	// shown must be from CA.
	AskClient bool
	// AskOperators is AskClient for AskingConfig alone.
	AskOperators bool
}

// Source provides a server's configuration. Any goroutine may use it.
type Source struct {
	files   Files
	limit   time.Duration // how long Reload waits for the files
	current atomic.Pointer[loaded]
	reading chan struct{} // holds an element while a goroutine reads
	at      atomic.Value  // the file that is being read, a string
}

// loaded is the content of the files.
type loaded struct {
	config *tls.Config
	asking *tls.Config         // asks every client for a certificate, if there is a CA
	server []*x509.Certificate // the server's certificate and the intermediate ones
	ca     []*x509.Certificate
}

const (
	// readTimeout is how long Reload waits for the files. A file that blocks, such as a named pipe without a
	// writer or a file on an unreachable server, must not block the caller.
	readTimeout = 5 * time.Second
	// maxFile is the largest size of a file, in bytes.
	maxFile = 4 << 20
)

// Open reads the files. Its error is one line and names the file.
func Open(f Files) (*Source, error) {
	s := &Source{files: f, limit: readTimeout, reading: make(chan struct{}, 1)}
	return s, s.Reload()
}

// Reload reads the files again, for future connections. It takes at most five seconds. After an error nothing
// has changed; if a file blocked, the read continues until the file can be read or the process ends, and
// further calls fail until then.
func (s *Source) Reload() error {
	select {
	case s.reading <- struct{}{}:
	default:
		return fmt.Errorf("TLS: %v is still being read since the last time", s.at.Load())
	}
	type result struct {
		loaded *loaded
		err    error
	}
	done := make(chan result, 1)
	go func() {
		l, err := s.read()
		<-s.reading
		done <- result{l, err}
	}()
	limit := time.NewTimer(s.limit)
	defer limit.Stop()
	select {
	case r := <-done:
		if r.err != nil {
			return fmt.Errorf("TLS: %w", r.err)
		}
		s.current.Store(r.loaded)
		return nil
	case <-limit.C:
		return fmt.Errorf("TLS: %v can't be read within %v", s.at.Load(), s.limit)
	}
}

// Config returns a configuration for a server that always uses the latest files.
func (s *Source) Config() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS12,
		SessionTicketsDisabled: true,
		GetConfigForClient:     func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.current.Load().config, nil },
	}
}

// AskingConfig is Config for the operators' listener: with Files.AskOperators it requests a certificate, and
// also accepts clients without one.
func (s *Source) AskingConfig() *tls.Config {
	c := s.Config()
	if s.files.AskOperators {
		c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.current.Load().asking, nil }
	}
	return c
}

// read builds a configuration from the files.
func (s *Source) read() (*loaded, error) {
	f := &s.files
	switch {
	case f.Certificate == "":
		return nil, errors.New("there is no certificate file")
	case f.Key == "":
		return nil, errors.New("there is no key file")
	case f.RequireClient && f.CA == "":
		return nil, errors.New("client certificates are required, but there is no CA file to check them with")
	}
	certificate, err := s.readFile("certificate file", f.Certificate)
	if err != nil {
		return nil, err
	}
	key, err := s.readFile("key file", f.Key)
	if err != nil {
		return nil, err
	}
	if isEncrypted(key) {
		return nil, fmt.Errorf("key file %s is encrypted, and nobody is there to enter its passphrase: store the key without one, "+
			"readable by the server only (openssl pkey -in %s -out NEW)", f.Key, f.Key)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("certificate file %s with key file %s: %w", f.Certificate, f.Key, err)
	}
	l := &loaded{server: parse(certificate), config: &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{pair},
		// Connections are long-lived, so resuming one saves little; and a ticket would admit a client whose
		// certificate is no longer accepted.
		SessionTicketsDisabled: true,
		// Output is gathered before it is encrypted: small records gain nothing.
		DynamicRecordSizingDisabled: true,
	}}
	l.asking = l.config
	if f.CA == "" {
		return l, nil
	}
	authorities, err := s.readFile("CA file", f.CA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authorities) {
		return nil, fmt.Errorf("CA file %s: no certificate in it", f.CA)
	}
	l.ca = parse(authorities)
	switch {
	case f.RequireClient:
		l.config.ClientCAs, l.config.ClientAuth = pool, tls.RequireAndVerifyClientCert
	case f.AskClient:
		l.config.ClientCAs, l.config.ClientAuth = pool, tls.VerifyClientCertIfGiven
	default:
		l.asking = l.config.Clone()
		l.asking.ClientCAs, l.asking.ClientAuth = pool, tls.VerifyClientCertIfGiven
	}
	return l, nil
}

// readFile returns the content of a file. kind names it in errors.
func (s *Source) readFile(kind, path string) ([]byte, error) {
	s.at.Store(kind + " " + path)
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", kind, err)
	case len(data) > maxFile:
		return nil, fmt.Errorf("%s %s is larger than %d MiB", kind, path, maxFile>>20)
	}
	return data, nil
}

// isEncrypted reports whether the first key in a file has a passphrase, in either of OpenSSL's two formats.
func isEncrypted(key []byte) bool {
	for {
		var block *pem.Block
		if block, key = pem.Decode(key); block == nil {
			return false
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED")
		}
	}
}

// parse returns the certificates in a file, without those that cannot be parsed.
func parse(file []byte) (all []*x509.Certificate) {
	for {
		var block *pem.Block
		if block, file = pem.Decode(file); block == nil {
			return all
		}
		if c, err := x509.ParseCertificate(block.Bytes); block.Type == "CERTIFICATE" && err == nil {
			all = append(all, c)
		}
	}
}
