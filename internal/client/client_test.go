package client_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"gearloop/codec"
	"gearloop/internal/client"
	"gearloop/test/await"
	"gearloop/test/certs"
	"gearloop/test/peers"
)

func TestParseTarget(t *testing.T) {
	for text, want := range map[string]string{
		"broker": "broker:4730", "broker:1": "broker:1", ":7": "127.0.0.1:7", "": "127.0.0.1:4730",
		"[::1]:7": "[::1]:7", "::1": "[::1]:4730", "[::1]": "[::1]:4730", "unix:/run/g.sock": "unix:/run/g.sock",
		"tls://broker": "tls://broker:4730", "tls://broker:7": "tls://broker:7", "broker:": "broker:4730",
	} {
		got, err := client.ParseTarget(text, client.TLSFiles{})
		if err != nil || got.String() != want {
			t.Errorf("%q is %v, %v; want %s", text, got, err, want)
		}
	}
	for _, bad := range []string{"unix:", "http://broker", "tls:/broker", "a:b:c", "broker/x"} {
		if got, err := client.ParseTarget(bad, client.TLSFiles{}); err == nil {
			t.Errorf("%q is %v", bad, got)
		}
	}
	if _, err := client.ParseTarget("tls://x", client.TLSFiles{CA: filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("a CA file that is not there is taken")
	}
}

// TestServers exchanges packets and text commands with every kind of server, over every kind of connection.
func TestServers(t *testing.T) {
	authority := certs.New(t)
	pair := authority.Sign("127.0.0.1")
	for name, start := range map[string]func() string{
		"gearloop": func() string { return peers.Start(t, peers.Gearloop).Addr },
		"unix": func() string {
			return peers.Start(t, peers.Gearloop, "--listen", "unix:"+filepath.Join(t.TempDir(), "g")).Addr
		},
		"tls": func() string {
			return peers.Start(t, peers.Gearloop, "--ssl", "--ssl-certificate", pair.Certificate, "--ssl-key", pair.Key).Addr
		},
		"perl": func() string { return peers.Start(t, peers.Perl).Addr },
		"c":    func() string { return peers.Start(t, peers.C).Addr },
	} {
		t.Run(name, func(t *testing.T) {
			target, err := client.ParseTarget(start(), client.TLSFiles{CA: authority.File})
			if err != nil {
				t.Fatal(err)
			}
			c, err := client.Dial(context.Background(), target)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.Within(await.Limit)
			if err := c.Send(codec.EchoReq, "hello"); err != nil {
				t.Fatal(err)
			}
			if p, err := c.Receive(); err != nil || p.Type != codec.EchoRes || string(p.Data) != "hello" {
				t.Errorf("got %v, %v", p, err)
			}
			if err := c.Send(codec.SubmitJobBg, "f", "u", "x"); err != nil {
				t.Fatal(err)
			}
			if p, err := c.Receive(); err != nil || p.Type != codec.JobCreated {
				t.Errorf("got %v, %v", p, err)
			}
			lines, err := c.Table("status")
			if err != nil || strings.Join(lines, "|") != "f\t1\t0\t0" {
				t.Errorf("status is %q, %v", lines, err)
			}
			if _, err := c.Table("nonsense"); err == nil || !strings.Contains(err.Error(), "ERR") {
				t.Errorf("nonsense: %v", err)
			}
			if line, err := c.Line("version"); err != nil || line == "" {
				t.Errorf("version: %q, %v", line, err)
			}
		})
	}
}
