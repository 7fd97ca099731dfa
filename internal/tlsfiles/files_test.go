package tlsfiles

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gearloop/test/certs"
)

// shake does a handshake between a client and a server with these configurations, and passes one byte
// afterwards: with TLS 1.3 only that tells a client that it is accepted.
func shake(t *testing.T, server, client *tls.Config) (*tls.ConnectionState, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan struct{})
	go func() {
		defer close(served)
		if socket, err := l.Accept(); err == nil {
			s := tls.Server(socket, server)
			if s.Handshake() == nil {
				s.Write([]byte{1})
			}
			s.Close()
		}
	}()
	socket, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Client(socket, client)
	n, err := c.Read(make([]byte, 1))
	if n == 1 {
		err = nil // it may be the end of what follows
	}
	socket.Close()
	<-served
	state := c.ConnectionState()
	return &state, err
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestClientCertificates(t *testing.T) {
	ours, others := certs.New(t), certs.New(t)
	p := ours.Sign("server")
	foreign := others.Client("stranger")
	foreign.RootCAs = ours.Client("").RootCAs
	for name, c := range map[string]struct {
		ca       string
		require  bool
		client   *tls.Config
		accepted bool
	}{
		"none asked for":               {"", false, ours.Client(""), true},
		"authority without a demand":   {ours.File, false, ours.Client(""), true},
		"stranger without a demand":    {ours.File, false, foreign, true},
		"required and shown":           {ours.File, true, ours.Client("client"), true},
		"required and not shown":       {ours.File, true, ours.Client(""), false},
		"required, of someone else":    {ours.File, true, foreign, false},
		"server that is not trusted":   {ours.File, false, others.Client(""), false},
		"required, server not trusted": {ours.File, true, others.Client("client"), false},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(Files{Certificate: p.Certificate, Key: p.Key, CA: c.ca, RequireClient: c.require})
			if err != nil {
				t.Fatal(err)
			}
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				client := c.client.Clone()
				client.MinVersion, client.MaxVersion = version, version
				state, err := shake(t, s.Config(), client)
				if (err == nil) != c.accepted || err == nil && state.Version != version {
					t.Errorf("version %x: %v, %x", version, err, state.Version)
				}
			}
			client := c.client.Clone()
			client.MinVersion, client.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
			if _, err := shake(t, s.Config(), client); err == nil {
				t.Error("TLS 1.1 is taken")
			}
		})
	}
}

// New certificates and authorities apply from the next connection on. Files that do not fit change nothing.
func TestReload(t *testing.T) {
	before, after := certs.New(t), certs.New(t)
	dir := t.TempDir()
	f := Files{
		Certificate: filepath.Join(dir, "server.pem"), Key: filepath.Join(dir, "server.key"),
		CA: filepath.Join(dir, "ca.pem"), RequireClient: true,
	}
	install := func(a *certs.Authority) {
		p := a.Sign("server")
		copyFile(t, p.Certificate, f.Certificate)
		copyFile(t, p.Key, f.Key)
		copyFile(t, a.File, f.CA)
	}
	install(before)
	s, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	config := s.Config()
	old, new := before.Client("client"), after.Client("client")
	cache := tls.NewLRUClientSessionCache(10)
	old.ClientSessionCache = cache
	serves := func(who *tls.Config, name string) {
		t.Helper()
		for who, want := range map[*tls.Config]bool{who: true, old: who == old, new: who == new} {
			if _, err := shake(t, config, who); (err == nil) != want {
				t.Errorf("%s: error %v, want %v", name, err, want)
			}
		}
	}
	serves(old, "at first")
	install(after)
	serves(old, "before Reload")
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	serves(new, "after Reload")
	copyFile(t, before.Sign("other").Key, f.Key)
	if err := s.Reload(); err == nil || !strings.Contains(err.Error(), f.Key) {
		t.Errorf("a key that does not fit: %v", err)
	}
	serves(new, "after a Reload that failed")
	install(before)
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	serves(old, "in the end")
}

// Any fault of the files is one line that names the file.
func TestFaults(t *testing.T) {
	a := certs.New(t)
	p, other := a.Sign("server"), a.Sign("other")
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(t.TempDir(), "missing")
	for name, c := range map[string]struct {
		files Files
		names []string
	}{
		"no certificate":        {Files{Key: p.Key}, []string{"no certificate file"}},
		"no key":                {Files{Certificate: p.Certificate}, []string{"no key file"}},
		"no authority":          {Files{Certificate: p.Certificate, Key: p.Key, RequireClient: true}, []string{"no CA file"}},
		"missing certificate":   {Files{Certificate: missing, Key: p.Key}, []string{"certificate file", missing}},
		"missing key":           {Files{Certificate: p.Certificate, Key: missing}, []string{"key file", missing}},
		"missing authority":     {Files{Certificate: p.Certificate, Key: p.Key, CA: missing}, []string{"CA file", missing}},
		"empty certificate":     {Files{Certificate: empty, Key: p.Key}, []string{empty, p.Key}},
		"empty key":             {Files{Certificate: p.Certificate, Key: empty}, []string{p.Certificate, empty}},
		"empty authority":       {Files{Certificate: p.Certificate, Key: p.Key, CA: empty}, []string{"CA file", empty}},
		"somebody else's key":   {Files{Certificate: p.Certificate, Key: other.Key}, []string{p.Certificate, other.Key}},
		"key as an authority":   {Files{Certificate: p.Certificate, Key: p.Key, CA: p.Key}, []string{"CA file", p.Key}},
		"certificate for a key": {Files{Certificate: p.Certificate, Key: p.Certificate}, []string{p.Certificate}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(c.files)
			if err == nil {
				t.Fatal("taken")
			}
			text := err.Error()
			if strings.Contains(text, "\n") || !strings.HasPrefix(text, "TLS: ") {
				t.Errorf("%q", text)
			}
			for _, n := range c.names {
				if !strings.Contains(text, n) {
					t.Errorf("%q does not name %q", text, n)
				}
			}
			if strings.HasPrefix(name, "missing") && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%v", err)
			}
		})
	}
}
