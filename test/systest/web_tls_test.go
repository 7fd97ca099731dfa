package systest

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gearloop/test/certs"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// With TLS and --ssl-verify-client nobody has access without a certificate. The holder of one is a viewer, or
// has the role that the tokens file gives.
func TestWebTLS(t *testing.T) {
	t.Parallel()
	a := certs.New(t)
	p := a.Sign("server")
	tokens := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(tokens, []byte("alice operator cert\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := peers.Start(t, peers.Gearloop, "--web", "tls://0.0.0.0:0", "--web-tokens", tokens, "-L", "unix:"+filepath.Join(t.TempDir(), "s"),
		"--ssl-certificate", p.Certificate, "--ssl-key", p.Key, "--ssl-ca-file", a.File, "--ssl-verify-client")
	web := s.Web()
	if !strings.HasPrefix(web, "https://") {
		t.Fatalf("listens on %s", web)
	}
	web = "https://127.0.0.1" + web[strings.LastIndexByte(web, ':'):]
	get := func(name, path string) (int, error) {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: a.Client(name), DisableKeepAlives: true}, Timeout: wire.Limit}
		resp, err := client.Get(web + path)
		if err != nil {
			return 0, err
		}
		resp.Body.Close()
		return resp.StatusCode, nil
	}
	if status, err := get("", "/healthz"); err == nil {
		t.Errorf("without a certificate: %d", status)
	}
	for _, c := range []struct {
		name, path string
		want       int
	}{
		{"worker-7", "/metrics", 200}, {"worker-7", "/healthz", 200}, {"alice", "/metrics", 200},
		{"worker-7", "/api/v1/server", 200}, {"worker-7", "/api/v1/jobs/H:x:1/argument", 403}, {"alice", "/api/v1/jobs/H:x:1/argument", 404},
	} {
		if status, err := get(c.name, c.path); err != nil || status != c.want {
			t.Errorf("%s asks for %s: %d, %v; want %d", c.name, c.path, status, err, c.want)
		}
	}
	if status, body := metricsOf(t, a, web); status != 200 || !strings.Contains(body, fmt.Sprintf("gearloop_tls_certificate_expiry_timestamp_seconds{file=%q}", p.Certificate)) {
		t.Errorf("%d, no expiry of the certificate", status)
	}
}

// Without --ssl-verify-client a certificate is a way in beside tokens: its name has the role that the tokens
// file gives, which may have spaces in it. Another one is a viewer; without a certificate a token is asked
// for, and clients of the Gearman port are not asked for one.
func TestWebCertificates(t *testing.T) {
	t.Parallel()
	a, strangers := certs.New(t), certs.New(t)
	p := a.Sign("server")
	tokens := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(tokens, []byte("alice operator cert\nJohn  Doe reader cert\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := peers.Start(t, peers.Gearloop, "--web", "tls://0.0.0.0:0", "--web-tokens", tokens, "--listen", "tls://127.0.0.1:0",
		"--ssl-certificate", p.Certificate, "--ssl-key", p.Key, "--ssl-ca-file", a.File)
	web := s.Web()
	web = "https://127.0.0.1" + web[strings.LastIndexByte(web, ':'):]
	for _, c := range []struct {
		name string
		role string // "": 401
	}{
		{"alice", "operator"}, {"John Doe", "reader"}, {"worker-7", "viewer"}, {"", ""},
	} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: a.Client(c.name), DisableKeepAlives: true}, Timeout: wire.Limit}
		resp, err := client.Get(web + "/api/v1/server")
		if err != nil {
			t.Fatalf("%q: %v", c.name, err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if c.role == "" && resp.StatusCode != 401 || c.role != "" && !strings.Contains(string(body), fmt.Sprintf("%q:%q", "role", c.role)) {
			t.Errorf("%q: %d %.300s", c.name, resp.StatusCode, body)
		}
	}
	foreign := strangers.Client("alice")
	foreign.RootCAs = a.Client("").RootCAs
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: foreign, DisableKeepAlives: true}, Timeout: wire.Limit}
	if resp, err := client.Get(web + "/api/v1/server"); err == nil {
		resp.Body.Close()
		t.Errorf("a certificate of another authority: %d", resp.StatusCode)
	}
	asked := false
	config := a.Client("")
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		asked = true
		return &tls.Certificate{}, nil
	}
	port, err := tls.Dial("tcp", strings.TrimPrefix(s.Addrs[0], "tls://"), config)
	if err != nil {
		t.Fatal(err)
	}
	port.Close()
	if asked {
		t.Error("clients of the Gearman port are asked for a certificate")
	}
	if strings.Contains(s.Stderr(), "is not used") {
		t.Errorf("the CA file is used: %s", s.Stderr())
	}
}

func metricsOf(t *testing.T, a *certs.Authority, web string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: a.Client("x"), DisableKeepAlives: true}, Timeout: wire.Limit}
	resp, err := client.Get(web + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b strings.Builder
	if err := resp.Write(&b); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, b.String()
}
