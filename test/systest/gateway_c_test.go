package systest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// The HTTP gateway of the program: a request is a job, on the given port and addresses; it ends with the
// server.
func TestHTTPOption(t *testing.T) {
	t.Parallel()
	var s *program
	var addr, web string
	onFreePort(t, func(port string) bool {
		web = "http://127.0.0.1:" + port
		s = launch(t, command(gearmand(t), nil, "-p", "0", "-L", "127.0.0.1", "-l", "stderr",
			"-P", filepath.Join(t.TempDir(), "pid"), "-r", "http", "--http-port", port, "--http-host", "jobs.example.com", "--verbose=INFO"))
		wire.Await(t, "it listens, or has ended", func() bool {
			return strings.Contains(s.stderr.String(), "started") || s.isDone()
		})
		return s.isDone() && strings.Contains(s.stderr.String(), "already in use")
	})
	_, rest, _ := strings.Cut(s.stderr.String(), `addresses="[`)
	addr, rest, _ = strings.Cut(rest, " ")
	if told, _, _ := strings.Cut(rest, "]"); told != web {
		t.Fatalf("it listens on %q and %q: %s", addr, told, &s.stderr)
	}
	worker := wire.Dial(t, addr)
	worker.Send(codec.CanDo, "reverse")
	worker.Send(codec.PreSleep)
	answer := make(chan string, 1)
	go func() {
		client := http.Client{Timeout: wire.Limit}
		defer client.CloseIdleConnections()
		r, err := client.Post(web+"/reverse", "", strings.NewReader("hello"))
		if err != nil {
			answer <- err.Error()
			return
		}
		defer r.Body.Close()
		body, _ := io.ReadAll(r.Body)
		answer <- r.Header.Get("X-Gearman-Job-Handle") + " " + string(body)
	}()
	worker.Want(codec.Noop)
	handle, argument := worker.Grab()
	if argument != "hello" {
		t.Errorf("the argument is %q", argument)
	}
	worker.Send(codec.WorkComplete, handle, "olleh")
	if got := <-answer; got != handle+" olleh" {
		t.Errorf("got %q, want %s olleh", got, handle)
	}
	for _, r := range []struct {
		host, origin string
		status       int
	}{
		{"jobs.example.com", "", 200}, {"localhost", "", 200}, {"jobs.example.com", "http://evil.example", 403}, {"evil.example", "", 403},
	} {
		if status := background(t, web+"/nobody", r.host, r.origin); status != r.status {
			t.Errorf("Host %q, Origin %q: status %d, want %d", r.host, r.origin, status, r.status)
		}
	}
	table := strings.Join(wire.Dial(t, addr).Table("gladiator all"), "\n")
	if !strings.Contains(table, "2 HTTP fault: foreign page or host") {
		t.Errorf("gladiator has\n%s", table)
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	if r := s.wait(); r.code != 0 || strings.Contains(r.stderr, "level=ERROR") {
		t.Errorf("exit status %d\n%s", r.code, r.stderr)
	}
}

// background submits a background job over HTTP and returns the status of the answer.
func background(t *testing.T, url, host, origin string) int {
	t.Helper()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	r.Header.Set("X-Gearman-Background", "true")
	if origin != "" {
		r.Header.Set("Origin", origin)
	}
	client := http.Client{Timeout: wire.Limit, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

// writeCertificate makes a certificate of this serial number, signed by itself, for the files cert and key of
// dir.
func writeCertificate(t *testing.T, dir string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "gearloop"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert": {Type: "CERTIFICATE", Bytes: certificate}, "key": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// dialTLS connects with TLS and returns the serial number of the server's certificate, too.
func dialTLS(t *testing.T, addr string) (*wire.Conn, int64) {
	t.Helper()
	d := &net.Dialer{Timeout: wire.Limit}
	c, err := tls.DialWithDialer(d, "tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return wire.New(t, c), c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// TLS on the only port with --ssl, or on an additional address. The files come from options or from the C
// server's variables, and SIGHUP reads them again.
func TestTLSOptions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeCertificate(t, dir, 1)
	cert, key := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	s := peers.Start(t, peers.Gearloop, "--dialect", "c", "--listen", "127.0.0.1:0", "--listen", "tls://127.0.0.1:0",
		"--ssl-certificate", cert, "--ssl-key="+key)
	wire.Dial(t, s.Addrs[0]).Sync()
	addr := strings.TrimPrefix(s.Addrs[1], "tls://")
	c, serial := dialTLS(t, addr)
	c.Sync()
	writeCertificate(t, dir, serial+1)
	s.Signal(syscall.SIGHUP)
	wire.Await(t, "the new certificate is used", func() bool {
		_, serial := dialTLS(t, addr)
		return serial == 2
	})
	c.Sync()
	s.Signal(syscall.SIGTERM)
	ended(t, s, 0)

	s = peers.StartWith(t, peers.Gearloop, peers.Options{
		Args: []string{"--dialect", "c", "--ssl", "--ssl-key", "/nosuch/key"},
		Env:  []string{"GEARMAND_SERVER_PEM=" + cert, "GEARMAND_SERVER_KEY=" + key},
	})
	c, _ = dialTLS(t, strings.TrimPrefix(s.Addr, "tls://"))
	c.Sync()

	r := launch(t, command(gearmand(t), nil, "-p", "0", "-l", "none",
		"--ssl", "--ssl-certificate", cert, "--ssl-key", "/nosuch/key")).wait()
	if r.code != 1 || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, "/nosuch/key") {
		t.Errorf("exit status %d, says %q", r.code, r.stderr)
	}
}
