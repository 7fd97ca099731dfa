package clienttest

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/certs"
	"gearloop/test/peers"
	"gearloop/test/wire"

	"gearloop/test/await"
)

// tlsTarget is Gearloop with a plain address and one for TLS.
type tlsTarget struct {
	*target
	tlsAddr   string // host:port
	authority *certs.Authority
	files     certs.Pair
}

// eachTLS runs a test with Gearloop in both of its dialects, and a further address for TLS.
func eachTLS(t *testing.T, test func(*testing.T, *tlsTarget), args ...string) {
	t.Helper()
	t.Parallel()
	for _, name := range []string{"gearloop", "gearloop-c"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := certs.New(t)
			s := &tlsTarget{authority: a, files: a.Sign("server")}
			s.target = startServer(t, name, append([]string{
				"--listen", "127.0.0.1:0", "--listen", "tls://127.0.0.1:0", "--ssl-ca-file", a.File,
				"--ssl-certificate", s.files.Certificate, "--ssl-key", s.files.Key,
			}, args...)...)
			s.tlsAddr = strings.TrimPrefix(s.Addrs[1], "tls://")
			test(t, s)
		})
	}
}

// secure connects over TLS, with a client certificate.
func (s *tlsTarget) secure(t *testing.T) *wire.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", s.tlsAddr, s.authority.Client("client"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return wire.New(t, c)
}

// speaksTLS reports whether a program begins a connection with a TLS handshake. The address to connect to is
// appended to its command line.
func speaksTLS(t *testing.T, argv ...string) bool {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	host, port, _ := net.SplitHostPort(l.Addr().String())
	p := launch(t, append(argv, "-h", host, "-p", port)...)
	defer p.kill()
	l.(*net.TCPListener).SetDeadline(time.Now().Add(deadline))
	c, err := l.Accept()
	if err != nil {
		t.Fatalf("%q does not connect: %v", argv, err)
	}
	defer c.Close()
	first := make([]byte, 1)
	c.SetDeadline(time.Now().Add(deadline))
	if _, err := io.ReadFull(c, first); err != nil {
		t.Fatalf("%q sends nothing: %v", argv, err)
	}
	return first[0] == 0x16
}

// The tools have a switch for TLS, but Debian builds them, and its server, without TLS: both ignore the
// switch. So with it the tools work with each server on its plain port.
func TestToolsWithTLSSwitch(t *testing.T) {
	t.Parallel()
	a := certs.New(t)
	files := a.Sign("server")
	own := []string{"--listen", "127.0.0.1:0", "--listen", "tls://127.0.0.1:0"}
	named := []string{"--ssl-ca-file=" + a.File, "--ssl-certificate=" + files.Certificate, "--ssl-key=" + files.Key}
	secure := speaksTLS(t, "gearadmin", "-S", "--status")
	if also := speaksTLS(t, "gearman", "-S", "-f", "x", "-t", "100", "x"); also != secure {
		t.Fatalf("gearadmin speaks TLS: %v, gearman: %v", secure, also)
	}
	for name, s := range map[string]*target{
		"c":          startServer(t, "c", append([]string{"--ssl"}, named...)...),
		"gearloop":   startServer(t, "gearloop", append(own, named...)...),
		"gearloop-c": startServer(t, "gearloop-c", append(own, named...)...),
	} {
		t.Run(name, func(t *testing.T) {
			host, port := s.host, s.port
			if secure && !s.reference {
				host, port, _ = net.SplitHostPort(strings.TrimPrefix(s.Addrs[1], "tls://"))
			}
			at := []string{"-S", "-h", host, "-p", port}
			run(t, "", append(append([]string{"gearadmin"}, at...), "--status")...).wantText(t, 0, ".\n")
			run(t, "", append(append([]string{"gearman"}, at...), "-b", "-f", "print", "x")...).wantText(t, 0, "")
			run(t, "", append(append([]string{"gearman"}, at...), "-w", "-c", "1", "-f", "print")...).wantText(t, 0, "x")
		})
	}
}

// Programs that connect without TLS to a TLS port are rejected at once, without a log line; others are not
// affected.
func TestPlainToolsOnTLSPort(t *testing.T) {
	eachTLS(t, func(t *testing.T, s *tlsTarget) {
		host, port, _ := net.SplitHostPort(s.tlsAddr)
		if r := run(t, "", "gearadmin", "-h", host, "-p", port, "--status"); r.code == 0 || r.stdout != "" {
			t.Errorf("gearadmin: code %d, printed %q", r.code, r.stdout)
		}
		if r := run(t, "", "gearman", "-h", host, "-p", port, "-f", "x", "x"); !strings.Contains(r.stderr, "LOST_CONNECTION") {
			t.Errorf("gearman: code %d, complained %q", r.code, r.stderr)
		}
		s.secure(t).Sync()
		for line := range strings.Lines(s.Stderr()) {
			warned := strings.Contains(line, "authority.pem is not used") // no client is verified here
			if !warned && !strings.Contains(line, "level=INFO") && strings.Contains(line, "level=") {
				t.Errorf("log: %s", line)
			}
		}
	})
}

// OpenSSL's client can connect with both versions, and is understood before and after it has asked for new
// keys.
func TestOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Fatal("openssl is missing; it comes with Debian's package of that name")
	}
	eachTLS(t, func(t *testing.T, s *tlsTarget) {
		client := s.authority.Sign("openssl")
		args := []string{
			"openssl", "s_client", "-connect", s.tlsAddr, "-CAfile", s.authority.File, "-verify_return_error",
			"-cert", client.Certificate, "-key", client.Key,
		}
		for version, renews := range map[string]bool{"-tls1_2": false, "-tls1_3": true} {
			p := launch(t, append(args, version)...)
			// ask sends a line, and reads up to the line that ends the answer.
			ask := func(text, end string) {
				t.Helper()
				if _, err := io.WriteString(p.stdin, text); err != nil {
					t.Fatal(err)
				}
				for line := p.line(t); line != end; line = p.line(t) {
				}
			}
			ask("status\n", ".")
			if renews {
				for n := range 20 {
					// The first asks for new keys of both sides, the second changes only its own. It drops what it reads
					// together with such a command.
					for i, command := range []string{"K\n", "k\n"} {
						io.WriteString(p.stdin, command)
						await.UntilSaid(t, func() bool { return strings.Count(p.errors(), "KEYUPDATE") == 2*n+i+1 },
							func() string { return "no new keys: " + p.errors() })
						ask("status\n", ".")
					}
				}
			}
			p.stdin.Close()
			<-p.done
		}
		for _, old := range []string{"-tls1", "-tls1_1"} {
			if r := run(t, "", append(args, old, "-cipher", "ALL:@SECLEVEL=0")...); r.code == 0 {
				t.Errorf("%s is taken: %s", old, r.stdout)
			}
		}
	}, "--ssl-verify-client", "--ssl-allow-plain")
}

// Where a certificate of the authority is required, nobody can connect without.
func TestClientCertificateRequired(t *testing.T) {
	eachTLS(t, func(t *testing.T, s *tlsTarget) {
		stranger := certs.New(t).Client("stranger")
		stranger.RootCAs = s.authority.Client("").RootCAs
		for name, config := range map[string]*tls.Config{"none": s.authority.Client(""), "stranger": stranger} {
			c, err := tls.Dial("tcp", s.tlsAddr, config)
			if err == nil {
				c.SetDeadline(time.Now().Add(deadline))
				_, err = c.Read(make([]byte, 1))
				c.Close()
			}
			if err == nil || !strings.Contains(err.Error(), "remote error: tls: ") {
				t.Errorf("%s: %v", name, err)
			}
		}
		s.secure(t).Sync()
	}, "--ssl-verify-client", "--ssl-allow-plain")
}

// Perl's client and worker use TLS: jobs pass between them, and between them and peers without TLS.
func TestPerlOverTLS(t *testing.T) {
	const worker = `
		use Gearman::Worker;
		my ($host, $port, $ca, $cert, $key) = @ARGV;
		my $w = Gearman::Worker->new(job_servers => [{ host => $host, port => $port, use_ssl => 1,
			ca_file => $ca, cert_file => $cert, key_file => $key }]);
		$w->register_function(reverse => sub { scalar reverse $_[0]->arg });
		$w->work while 1;`
	const client = `
		use Gearman::Client;
		my ($host, $port, $ca, $cert, $key, $argument) = @ARGV;
		my $c = Gearman::Client->new(job_servers => [{ host => $host, port => $port, use_ssl => 1,
			ca_file => $ca, cert_file => $cert, key_file => $key }]);
		my $r = $c->do_task(reverse => $argument x 1000);
		print $r ? $$r eq reverse($argument x 1000) ? "right\n" : "wrong\n" : "none\n";`
	eachTLS(t, func(t *testing.T, s *tlsTarget) {
		_, port, _ := net.SplitHostPort(s.tlsAddr)
		p := s.authority.Sign("perl")
		over := []string{"localhost", port, s.authority.File, p.Certificate, p.Key}
		secureWorker := launch(t, append(perl("-e", worker), over...)...)
		s.awaitWorkers(t, 1, "reverse")
		secureClient := append(append(perl("-e", client), over...), "a long argument ")
		run(t, "", secureClient...).want(t, "right")
		run(t, "", perlClient(s.target, "one", "reverse", "abc")...).want(t, "reverse complete cba", "returned cba")
		secureWorker.kill()
		s.awaitWorkers(t, 0, "reverse")
		perlWorker(t, s.target, "reverse")
		s.awaitWorkers(t, 1, "reverse")
		run(t, "", secureClient...).want(t, "right")
	}, "--ssl-verify-client", "--ssl-allow-plain")
}

// SIGHUP reads certificates again: new connections get the new one, existing ones continue; files that do not
// match are reported and change nothing.
func TestCertificatesAreReadAgain(t *testing.T) {
	eachTLS(t, func(t *testing.T, s *tlsTarget) {
		shown := func() *big.Int {
			t.Helper()
			c, err := tls.Dial("tcp", s.tlsAddr, s.authority.Client(""))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			return c.ConnectionState().PeerCertificates[0].SerialNumber
		}
		before, there := shown(), s.secure(t)
		fresh := s.authority.Sign("fresh")
		replace(t, fresh.Certificate, s.files.Certificate)
		if err := s.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		await.UntilSaid(t, func() bool { return strings.Contains(s.Stderr(), "private key does not match") },
			func() string { return "no complaint about a key that does not fit: " + s.Stderr() })
		if got := shown(); got.Cmp(before) != 0 {
			t.Errorf("a certificate without its key is shown")
		}
		replace(t, fresh.Key, s.files.Key)
		if err := s.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		await.UntilSaid(t, func() bool { return shown().Cmp(before) != 0 }, func() string { return "the old certificate is still shown" })
		there.Sync()
	})
}

// replace renames a file over another.
func replace(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to+".new", b, 0o600)
	}
	if err == nil {
		err = os.Rename(to+".new", to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// With --ssl the default addresses use TLS, with the files that the C server's variables name.
func TestSSLSwitch(t *testing.T) {
	t.Parallel()
	a := certs.New(t)
	p := a.Sign("server")
	s := peers.StartWith(t, peers.Gearloop, peers.Options{
		Args: []string{"--dialect", "c", "--ssl", "--listen", "127.0.0.1:0", "--ssl-certificate", filepath.Join(t.TempDir(), "none")},
		Env: []string{
			"GEARMAND_CA_CERTIFICATE=" + a.File, "GEARMAND_SERVER_PEM=" + p.Certificate, "GEARMAND_SERVER_KEY=" + p.Key,
		},
	})
	addr, ok := strings.CutPrefix(s.Addr, "tls://")
	if !ok {
		t.Fatalf("listens on %s", s.Addr)
	}
	c, err := tls.Dial("tcp", addr, a.Client(""))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(deadline))
	fmt.Fprint(c, "status\n")
	if line, err := bufio.NewReader(c).ReadString('\n'); line != ".\n" {
		t.Errorf("%q, %v", line, err)
	}
}

// A job of 64 MiB goes through TLS to a worker without it, and its result back.
func TestLargeJobOverTLS(t *testing.T) {
	eachTLS(t, func(t *testing.T, s *tlsTarget) {
		plain, err := s.Dial()
		if err != nil {
			t.Fatal(err)
		}
		defer plain.Close()
		client, worker := s.secure(t), wire.New(t, plain)
		data := strings.Repeat("0123456789abcdef", 4<<20-8)
		worker.Send(codec.CanDo, "f")
		h := client.Submit(codec.SubmitJob, "f", "", data)
		if got, argument := worker.Grab(); got != h || argument != data {
			t.Fatalf("%d bytes of argument for %s", len(argument), got)
		}
		worker.Send(codec.WorkComplete, h, data)
		if p := client.WantType(codec.WorkComplete); string(p.Data) != h+"\x00"+data {
			t.Fatalf("%d bytes came", len(p.Data))
		}
	})
}
