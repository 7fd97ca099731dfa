package rest_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"gearloop/api"
	"gearloop/test/await"
)

// TestCurlLines runs the session of docs/api.md as it stands there.
func TestCurlLines(t *testing.T) {
	page, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, script, _ := strings.Cut(string(page), "```sh\n")
	script, _, ok := strings.Cut(script, "```\n")
	if !ok || strings.Count(script, "\napi ") < 10 {
		t.Fatalf("the session is not found: %q", script)
	}
	r := newRig(t)
	ctx, cancel := context.WithTimeout(context.Background(), await.Limit)
	defer cancel()
	script = strings.Replace(script, "/run/gearloop/admin.sock", r.socket, 1)
	out, err := exec.CommandContext(ctx, "sh", "-euxc", "set -o noglob\n"+script).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var told []string
	for _, e := range get[api.Page[api.AuditEntry]](r, "audit", nil).Items {
		told = append(told, e.Action+" "+e.Result)
	}
	const want = "bulk cancel ok, cancel ok, priority high ok, resume ok, pause ok, submit ok"
	if got := strings.Join(told, ", "); got != want {
		t.Errorf("the session did %s; want %s\n%s", got, want, out)
	}
}
