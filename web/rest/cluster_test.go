package rest_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gearloop/api"
	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/peers"
	"gearloop/test/pgtest"
	"gearloop/test/wire"
)

// The brokers that share a database are seen by the API, by the command with the same numbers, as metrics and
// on the dashboard.
func TestCluster(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t).URL("")
	tokens := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(tokens, fmt.Appendf(nil, "v viewer sha256:%x\n", sha256.Sum256([]byte("viewer"))), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, "--store", url, "--node", "one", "--web", "127.0.0.1:0", "--web-tokens", tokens)
	other := peers.Start(t, peers.Gearloop, "--store", url, "--node", "two")
	wire.Dial(t, r.server.Addr).Submit(codec.SubmitJobBg, "f", "", "x")
	wire.Dial(t, other.Addr).Submit(codec.SubmitJobBg, "f", "", "x")
	var c api.Cluster
	await.Until(t, "both brokers are seen with their jobs, and alive", func() bool {
		c = get[api.Cluster](r, "cluster", nil)
		for _, b := range c.Brokers {
			if b.Jobs != 1 || b.State != "alive" {
				return false
			}
		}
		return len(c.Brokers) == 2 && c.Broker != nil && c.Broker.Connected
	})
	for i, node := range []string{"one", "two"} {
		if b := c.Brokers[i]; b.Node != node || b.Runs != 1 || b.Beats == 0 || b.Address == "" {
			t.Errorf("%+v", b)
		}
	}
	if self := c.Broker; self.Run != c.Brokers[0].Run || self.Lease <= 0 || self.Events["connected"] == 0 {
		t.Errorf("%+v", self)
	}
	if len(c.Problems) != 1 || !strings.Contains(c.Problems[0], "synchronous_standby_names") {
		t.Errorf("problems %q", c.Problems)
	}

	for _, path := range []string{api.Prefix + "cluster", "/system"} {
		req, err := http.NewRequest(http.MethodGet, r.server.Web()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer viewer")
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK || !strings.Contains(string(text), "alive") {
			t.Errorf("%s: %s, %v, %s", path, answer.Status, err, text)
		}
		for _, b := range c.Brokers {
			if strings.Contains(string(text), b.Address) {
				t.Errorf("a viewer finds %s in %s", b.Address, path)
			}
		}
	}

	cmd := exec.Command(peers.Binary(t), "cluster", "status", "--json", url)
	out, err := cmd.Output()
	var said api.Cluster
	if json.Unmarshal(out, &said) != nil || cmd.ProcessState.ExitCode() != 1 {
		t.Fatalf("%s, %v", out, err)
	}
	if said.Rows != 2 || said.Format != c.Format || len(said.Brokers) != 2 || said.Brokers[1].Run != c.Brokers[1].Run || said.Broker != nil {
		t.Errorf("the command says %+v, the API %+v", said, c)
	}

	for path, want := range map[string][]string{
		"metrics": {
			`gearloop_cluster_connected 1`, `gearloop_cluster_brokers{state="alive"} 2`, `gearloop_cluster_brokers{state="silent"} 0`,
			`gearloop_cluster_jobs{node="two",run="`, `gearloop_cluster_state_changes_total{event="suspended"} `,
		},
		"system": {"Brokers that share the store", "one (this one)", "two"},
	} {
		for _, part := range want { // a broker that was slow for a moment is shown as silent or without a connection
			await.Until(t, "/"+path+" has "+part, func() bool { return strings.Contains(page(t, r.socket, "/"+path), part) })
		}
	}
}

// page returns what is served on an admin socket.
func page(t *testing.T, socket, path string) string {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport}).Get("http://localhost" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", path, answer.Status, err)
	}
	return string(text)
}
