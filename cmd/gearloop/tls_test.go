package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// ways are the addresses of a server: connections there are encrypted, verified, or neither.
type ways struct{ plain, tls, unix bool }

// started returns the ways into a server with these arguments, or the error of its start. inC: under the name
// gearmand.
func started(t *testing.T, inC bool, args []string) (ways, error) {
	t.Helper()
	var o *options
	var err error
	if inC {
		o = defaults()
		o.forC()
		flags, _ := o.flagsC()
		if err = o.readC(flags, args, io.Discard); err == nil {
			err = o.resolveC()
		}
		if err == nil {
			err = o.check()
		}
	} else {
		o, err = parsed(t, args, nil)
	}
	if err != nil {
		return ways{}, err
	}
	listen := o.listen
	if len(listen) == 0 {
		listen = []string{":4730"} // as the server does
	}
	w := ways{plain: o.protocol == "http"}
	for _, a := range o.tls.secure(listen) {
		switch {
		case strings.HasPrefix(a, "tls://"):
			w.tls = true
		case strings.HasPrefix(a, "unix:"):
			w.unix = true
		default:
			w.plain = true
		}
	}
	return w, nil
}

// Every combination of listeners and TLS options either protects what it says or is rejected. There is no TLS
// option without TLS. Beside verified clients nobody can connect over the network unless that was asked for.
func TestTLSDoesNotFailOpen(t *testing.T) {
	listeners := [][]string{
		nil, {":1"}, {"127.0.0.1"}, {"[::1]:1"}, {"tls://:2"}, {"unix:/x"}, {":1", "tls://:2"}, {":1", "unix:/x"},
		{"tls://:2", "unix:/x"}, {":1", "tls://:2", "unix:/x"}, {"unix:/x", "tls://127.0.0.1:2", "127.0.0.1:1"},
	}
	files := []string{"", "--ssl-ca-file=/nonexistent", "--ssl-certificate=/nonexistent", "--ssl-key=/nonexistent"}
	accepted, refused := 0, 0
	for _, inC := range []bool{false, true} {
		for _, http := range []bool{false, true} {
			if http && !inC {
				continue // gearloop serve has no such option
			}
			for _, listen := range listeners {
				for bits := range 8 * len(files) {
					ssl, verify, allow, file := bits&1 > 0, bits&2 > 0, bits&4 > 0, files[bits>>3]
					var args []string
					for _, a := range listen {
						args = append(args, "--listen", a)
					}
					for arg, given := range map[string]bool{
						"--ssl": ssl, "--ssl-verify-client": verify, "--ssl-allow-plain": allow, "--protocol=http": http, file: file != "",
					} {
						if given {
							args = append(args, arg)
						}
					}
					w, err := started(t, inC, args)
					promised := ssl || verify || allow || file != "" // TLS, by some option
					overTCP := listen == nil || slices.ContainsFunc(listen, func(a string) bool { return a[0] != 'u' })
					hasTLS := ssl && overTCP || slices.ContainsFunc(listen, func(a string) bool { return strings.HasPrefix(a, "tls:") })
					hasPlain := http || !ssl && (listen == nil || slices.ContainsFunc(listen, func(a string) bool { return a[0] != 'u' && a[0] != 't' }))
					wantRefused := promised && !hasTLS || allow && !verify || verify && hasPlain && !allow
					name := fmt.Sprintf("in C: %v, %q", inC, args)
					if (err != nil) != wantRefused {
						t.Errorf("%s: refused: %v, want %v", name, err, wantRefused)
					}
					if err != nil {
						refused++
						if text := err.Error(); !strings.HasPrefix(text, "--ssl") || strings.Contains(text, "\n") {
							t.Errorf("%s: %q", name, text)
						}
						continue
					}
					accepted++
					if promised && !w.tls || ssl && w.plain && !http || verify && !allow && w.plain {
						t.Errorf("%s: the ways in are %+v", name, w)
					}
				}
			}
		}
	}
	if accepted < 100 || refused < 100 {
		t.Errorf("%d are accepted, %d refused", accepted, refused)
	}
}

// A rejection names a way out: with it the server starts.
func TestTLSWaysOut(t *testing.T) {
	for _, c := range []struct{ args, says, then string }{
		{"--ssl-verify-client --ssl-ca-file=/nonexistent", "--ssl-verify-client has a meaning only with TLS, and no address speaks it: add --ssl, or write --listen tls://ADDRESS", "--ssl"},
		{"--ssl-key=k", "--ssl-key has a meaning only with TLS", "--listen=tls://:1"},
		{"--ssl --listen=unix:/x", "--ssl: every --listen is a unix socket", "--listen=:1"},
		{"--ssl-verify-client --listen=127.0.0.1:1 --listen=tls://:2", "the address 127.0.0.1:1 has no TLS: write tls://127.0.0.1:1", "--ssl"},
		{"--ssl-verify-client --listen=127.0.0.1:1 --listen=tls://:2", "or add --ssl-allow-plain", "--ssl-allow-plain"},
		{"--ssl --ssl-verify-client --protocol=http", "--protocol http has no TLS: leave it out, or add --ssl-allow-plain", "--ssl-allow-plain"},
		{"--ssl --ssl-allow-plain", "--ssl-allow-plain has a meaning only with --ssl-verify-client", "--ssl-verify-client"},
		{"--ssl --ssl-ca-file=", "the value is empty", ""},
	} {
		for _, inC := range []bool{false, true} {
			if strings.Contains(c.args, "http") && !inC || strings.HasSuffix(c.args, "=") && inC {
				continue // C has a message of its own for an empty value
			}
			args := strings.Fields(c.args)
			if _, err := started(t, inC, args); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v, want %q", c.args, err, c.says)
			}
			if c.then != "" {
				if _, err := started(t, inC, append(args, c.then)); err != nil {
					t.Errorf("%s %s: %v", c.args, c.then, err)
				}
			}
		}
	}
}

// The C server's variables name files that other programs use too. Without TLS they have no effect.
func TestVariablesOfCWithoutTLS(t *testing.T) {
	for _, name := range []string{"GEARMAND_CA_CERTIFICATE", "GEARMAND_SERVER_PEM", "GEARMAND_SERVER_KEY"} {
		t.Setenv(name, "/nonexistent")
	}
	if _, err := started(t, true, nil); err != nil {
		t.Error(err)
	}
}
