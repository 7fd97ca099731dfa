package systest

import (
	"fmt"
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
	web := webOf(t, s)
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
