package examples

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"gearloop/test/await"
	"gearloop/test/peers"
	"gearloop/test/texts"
)

// promtool runs Prometheus' own checks.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("promtool", args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// The alerts are valid, and each fires when it should and only then.
func TestAlerts(t *testing.T) {
	promtool(t, "check", "rules", "prometheus/alerts.yml")
	promtool(t, "test", "rules", "prometheus/alerts_test.yml")
	promtool(t, "check", "config", "--syntax-only", "prometheus/scrape.yml")
	tested := texts.File(t, "prometheus/alerts_test.yml")
	for _, m := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(texts.File(t, "prometheus/alerts.yml"), -1) {
		if !regexp.MustCompile(`alertname: ` + m[1] + `\n\s+exp_alerts:\n`).MatchString(tested) {
			t.Errorf("no test shows that %s fires", m[1])
		}
	}
}

// metric matches the names of the broker's metrics.
var metric = regexp.MustCompile(`\bgear(man|loop)_[a-z_]+`)

// The files use metrics that the broker has: those of docs/metrics.md.
func TestMetricsExist(t *testing.T) {
	there := map[string]bool{}
	for _, name := range metric.FindAllString(texts.File(t, "../docs/metrics.md"), -1) {
		there[name] = true
	}
	for _, file := range []string{"prometheus/alerts.yml", "grafana/gearloop.json", "kubernetes/keda.yaml"} {
		names := metric.FindAllString(texts.File(t, file), -1)
		if len(names) == 0 {
			t.Errorf("%s has no metrics", file)
		}
		for _, name := range names {
			if !there[strings.TrimSuffix(name, "_bucket")] {
				t.Errorf("%s: docs/metrics.md has no %s", file, name)
			}
		}
	}
}

// dashboard is the part of Grafana's format that the test examines.
type dashboard struct {
	Title  string
	Panels []struct {
		ID          int
		Type, Title string
		GridPos     struct{ H, W, X, Y int }
		Targets     []struct{ Expr, RefID string }
	}
	Templating struct{ List []struct{ Name string } }
}

// The panels of Grafana's dashboard do not overlap, and Prometheus understands their queries.
func TestDashboard(t *testing.T) {
	var d dashboard
	if err := json.Unmarshal([]byte(texts.File(t, "grafana/gearloop.json")), &d); err != nil {
		t.Fatal(err)
	}
	rules, ids, taken := "groups:\n- name: dashboard\n  rules:\n", map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("two panels have the number %d", p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok || x >= 24 {
					t.Fatalf("panel %q lies on %q or beside the screen", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			expr := strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*", "$function", ".*").Replace(target.Expr)
			rules += fmt.Sprintf("  - record: x%d:%s\n    expr: %q\n", p.ID, target.RefID, expr)
		}
	}
	if len(d.Panels) < 20 || len(d.Templating.List) != 3 {
		t.Errorf("%d panels, %d variables", len(d.Panels), len(d.Templating.List))
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", file)
}

// object is an object of Kubernetes, as far as the test examines it.
type object map[string]any

// at returns the value at a path of names and indexes, or nil.
func (o object) at(path ...any) any {
	var v any = map[string]any(o)
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			list, _ := v.([]any)
			if p >= len(list) {
				return nil
			}
			v = list[p]
		}
	}
	return v
}

// objects returns the objects in a file, by kind and name.
func objects(t *testing.T, name string) map[string]object {
	t.Helper()
	all := map[string]object{}
	for text := range strings.SplitSeq(texts.File(t, name), "\n---\n") {
		var fields map[string]any
		if err := yaml.Unmarshal([]byte(text), &fields); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		o := object(fields)
		if o.at("apiVersion") == nil {
			t.Errorf("%s: an object has no apiVersion", name)
		}
		all[fmt.Sprint(o.at("kind"), " ", o.at("metadata", "name"))] = o
	}
	return all
}

// The objects of Kubernetes are well formed: probes ask for paths that the broker serves, at a port of the
// container; the server accepts its arguments; and it waits for jobs less long than Kubernetes waits for it.
func TestKubernetes(t *testing.T) {
	all := objects(t, "kubernetes/gearloop.yaml")
	set := all["StatefulSet gearloop"]
	container, _ := set.at("spec", "template", "spec", "containers", 0).(map[string]any)
	if container == nil || all["Service gearloop"] == nil {
		t.Fatalf("objects: %v", all)
	}
	c := object(container)
	var ports []any
	for i := 0; c.at("ports", i) != nil; i++ {
		ports = append(ports, c.at("ports", i, "name"))
	}
	for probe, path := range map[string]string{"livenessProbe": "/healthz", "readinessProbe": "/readyz", "startupProbe": "/readyz"} {
		if c.at(probe, "httpGet", "path") != path || !slices.Contains(ports, c.at(probe, "httpGet", "port")) {
			t.Errorf("%s: %v", probe, c.at(probe))
		}
	}
	var args []string
	for i := 0; c.at("args", i) != nil; i++ {
		args = append(args, fmt.Sprint(c.at("args", i)))
	}
	cmd := exec.Command(peers.Binary(t), append(args, "--check-args")...)
	drain := fmt.Sprint(c.at("env", 0, "name"), "=", c.at("env", 0, "value"))
	cmd.Env = append(os.Environ(), drain)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", args, err, out)
	}
	if grace := set.at("spec", "template", "spec", "terminationGracePeriodSeconds"); grace != 60 || drain != "GEARLOOP_DRAIN_TIMEOUT=50s" {
		t.Errorf("it is killed after %v s, and waits %s", grace, drain)
	}
}

// The triggers of KEDA ask for values that the API has, even of functions that no worker or client has named
// yet.
func TestKEDA(t *testing.T) {
	all := objects(t, "kubernetes/keda.yaml")
	socket := filepath.Join(t.TempDir(), "s")
	peers.Start(t, peers.Gearloop, "--admin-socket", socket)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	client := &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: await.Limit}
	found := 0
	for name, o := range all {
		for i := 0; o.at("spec", "triggers", i) != nil; i++ {
			found++
			switch o.at("spec", "triggers", i, "type") {
			case "metrics-api":
				value, from := fmt.Sprint(o.at("spec", "triggers", i, "metadata", "valueLocation")), fmt.Sprint(o.at("spec", "triggers", i, "metadata", "url"))
				answer, err := client.Get(strings.Replace(from, "gearloop:4780", "localhost", 1))
				if err != nil {
					t.Fatal(err)
				}
				var fields map[string]any
				err = json.NewDecoder(answer.Body).Decode(&fields)
				answer.Body.Close()
				if n, ok := fields[value].(float64); err != nil || answer.StatusCode != http.StatusOK || !ok || n != 0 {
					t.Errorf("%s: %s: %s, %v, %s is %v", name, from, answer.Status, err, value, fields[value])
				}
			case "prometheus":
				file := filepath.Join(t.TempDir(), "rules.yml")
				text := fmt.Sprintf("groups:\n- name: keda\n  rules:\n  - record: x\n    expr: %q\n", o.at("spec", "triggers", i, "metadata", "query"))
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				promtool(t, "check", "rules", file)
			default:
				t.Errorf("%s: unknown type of trigger", name)
			}
		}
	}
	if found != 3 || all["TriggerAuthentication gearloop"] == nil {
		t.Errorf("%d triggers in %v", found, all)
	}
}
