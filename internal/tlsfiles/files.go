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

// Files are the files of a server, all of them PEM.
type Files struct {
	Certificate string // the server's, followed by those between it and its authority
	Key         string // the private key that goes with it, not encrypted
	CA          string // the authorities that clients' certificates come from; may be empty
	// RequireClient lets only clients in that show a certificate from CA. Others' certificates are not asked for.
	RequireClient bool
	// AskClient asks clients for a certificate, and lets those in, too, that show none. One that is shown must be
	// from CA.
	AskClient bool
}

// Source is where a server's configuration comes from. Any goroutine may use it.
type Source struct {
	files   Files
	limit   time.Duration // how long Reload waits for the files
	current atomic.Pointer[loaded]
	reading chan struct{} // holds an element while a goroutine reads
	at      atomic.Value  // the file that is being read, as a string
}

// loaded is what the files had in them.
type loaded struct {
	config *tls.Config
	server []*x509.Certificate // the server's and those behind it
	ca     []*x509.Certificate
}

const (
	// readTimeout is how long Reload waits for the files. One that blocks, such as a named pipe without a writer or a
	// file on a server that is gone, must not hold up who asks.
	readTimeout = 5 * time.Second
	// maxFile is the most that a file may have, in bytes.
	maxFile = 4 << 20
)

// Open reads the files. An error names in one line the file that is at fault.
func Open(f Files) (*Source, error) {
	s := &Source{files: f, limit: readTimeout, reading: make(chan struct{}, 1)}
	return s, s.Reload()
}

// Reload reads the files again, for connections that come from now on. It takes five seconds at most. After an error
// everything is as it was; a file that blocked then does so until it can be read or the process ends, and further
// calls fail until then.
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

// Config returns a configuration for a server that always follows the files.
func (s *Source) Config() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS12,
		SessionTicketsDisabled: true,
		GetConfigForClient:     func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.current.Load().config, nil },
	}
}

// read makes a configuration of the files.
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
		// Connections last long, so that to resume one saves little; and a ticket would let clients in whose
		// certificate is not accepted any more.
		SessionTicketsDisabled: true,
		// Output is gathered before it is encrypted: small records gain nothing.
		DynamicRecordSizingDisabled: true,
	}}
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
	}
	return l, nil
}

// readFile returns what is in a file. kind says in an error which of the files it is.
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

// isEncrypted reports whether the first key in a file has a passphrase, in either of the two forms that OpenSSL writes.
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

// parse returns the certificates in a file, but for those that can't be read.
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
