package main

import (
	"strings"
	"testing"

	"gearloop/web/guard"
)

// Nobody on another machine can change anything through --web unless that was asked for. The error is one
// line with a way out that works.
func TestWebDoesNotFailOpen(t *testing.T) {
	accepted, refused := 0, 0
	for _, address := range []string{":1", "0.0.0.0:1", "10.1.2.3:1", "[::]:1", "broker.example:1", "127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1"} {
		for bits := range 1 << 6 {
			secure, tokens, verify, plain, listen := bits&1 > 0, bits&2 > 0, bits&4 > 0, bits&8 > 0, bits&16 > 0
			if plain && !verify {
				continue
			}
			for _, role := range []string{"", "none", "viewer", "operator"} {
				var args []string
				a := address
				if secure {
					a = "tls://" + a
				}
				args = append(args, "--web="+a)
				for arg, given := range map[string]bool{
					"--web-tokens=t": tokens, "--ssl-verify-client": verify, "--ssl-allow-plain": plain, "--listen=tls://:2": listen || verify,
					"--web-anonymous=" + role: role != "",
				} {
					if given {
						args = append(args, arg)
					}
				}
				local := strings.HasPrefix(address, "127.") || address == "[::1]:1" || address == "localhost:1"
				guarded := tokens || secure && verify
				o, err := parsed(t, args, nil)
				wantRefused := !local && (!guarded || role == "operator") || verify && !plain && !guarded
				if (err != nil) != wantRefused {
					t.Fatalf("%q: %v, want a refusal: %v", args, err, wantRefused)
				}
				if err != nil {
					refused++
					if strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "--web") {
						t.Errorf("%q: %v", args, err)
					}
					continue
				}
				accepted++
				if got := o.web.anonymousRole(&o.tls); role == "" && got > guard.Nobody && (!local || tokens || verify) ||
					!local && got >= guard.Operator {
					t.Errorf("%q: whoever shows nothing is %v", args, got)
				}
			}
		}
	}
	if accepted < 100 || refused < 100 {
		t.Errorf("%d are accepted, %d refused", accepted, refused)
	}
}

// Options of the operator's listener that have no effect, and malformed addresses, are rejected.
func TestWebMistakes(t *testing.T) {
	for args, says := range map[string]string{
		"--web-tokens=t":                      "--web-tokens has a meaning only with --web",
		"--web-anonymous=viewer":              "--web-anonymous has a meaning only with --web",
		"--web-host=x":                        "--web-host has a meaning only with --web",
		"--web-read-only":                     "--web-read-only has a meaning only with --web",
		"--admin-socket=x --web-tokens=t":     "--web-tokens has a meaning only with --web",
		"--admin-socket=":                     "the value is empty",
		"--web=":                              "the value is empty",
		"--web=127.0.0.1":                     "is not an address with a port",
		"--web=4780":                          "is not an address with a port",
		"--web=127.0.0.1:x":                   "has no port from 0 to 65535",
		"--web=:65536":                        "has no port from 0 to 65535",
		"--web=http://127.0.0.1:1":            "is not an address with a port",
		"--web=unix:/x":                       "write --admin-socket PATH",
		"--web=tls://unix:/x":                 "write --admin-socket PATH",
		"--web=127.0.0.1:1 --web-anonymous=x": "it must be none, viewer, reader, operator or admin",
		"--web=:1":                            "--web-tokens",
		"--metrics-functions=-1":              "from 0 to 100000",
	} {
		_, err := parsed(t, strings.Fields(args), nil)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", args, err, says)
		}
	}
	// TLS for operators alone counts as TLS. It does not protect the Gearman port.
	if _, err := parsed(t, []string{"--web=tls://127.0.0.1:1", "--ssl-key=k"}, nil); err != nil {
		t.Error(err)
	}
	if _, err := parsed(t, []string{"--web=tls://127.0.0.1:1", "--ssl-verify-client"}, nil); err == nil {
		t.Error("--ssl-verify-client is taken while the Gearman port has no TLS")
	}
}
