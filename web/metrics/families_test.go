package metrics

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gearloop/internal/histogram"
	"gearloop/sched"
)

// promtool finds no fault in a scrape with every family.
func TestPromtool(t *testing.T) {
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is not there; scripts/test-deps.sh installs it")
	}
	cmd := exec.Command(tool, "check", "metrics")
	cmd.Stdin = strings.NewReader(everything(t))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// everything returns a scrape in which each family has samples, with the metrics of the process.
func everything(t *testing.T) string {
	r := newRig(t, sched.MetricsConfig{Functions: 1, Histograms: 1})
	r.busy()
	text := r.get("/metrics")
	have := parsed(t, text)
	var more bytes.Buffer
	w := &writer{out: &more}
	for _, f := range all {
		if have[f.name] != nil {
			continue
		}
		w.begin(f)
		labels := make([]string, len(f.labels))
		for i := range labels {
			labels[i] = "x"
		}
		if f.kind == histo {
			w.times(&histogram.Histogram{}, histogram.Turns, labels...)
		} else {
			w.count(1, labels...)
		}
	}
	w.flush()
	return text + more.String()
}

// docs/metrics.md describes every metric with its type and labels, and no other.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (\\w+) \\| ([^|]*) \\| [^|]+ \\|$")
	documented := map[string]string{}
	for _, m := range line.FindAllStringSubmatch(string(page), -1) {
		labels := strings.NewReplacer("`", "", ", ", ",", "–", "").Replace(m[3])
		documented[m[1]] = m[2] + " " + strings.TrimSpace(labels)
	}
	there := map[string]string{}
	for _, f := range all {
		there[f.name] = f.kind + " " + strings.Join(f.labels, ",")
		if !strings.HasSuffix(f.help, ".") {
			t.Errorf("the help of %s is no sentence", f.name)
		}
	}
	for name, want := range there {
		if got := documented[name]; got != want {
			t.Errorf("%s is %q on the page, want %q", name, got, want)
		}
	}
	for name := range documented {
		if there[name] == "" {
			t.Errorf("%s is on the page only", name)
		}
	}
}

// Each declared family is written by a scheduler, a server or a store.
func TestNothingIsForgotten(t *testing.T) {
	var source []byte
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if name == "families.go" || strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		source = append(source, text...)
	}
	declared, err := os.ReadFile("families.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^\t(\w+)\s+= declare\(`).FindAllSubmatch(declared, -1) {
		if !regexp.MustCompile(`\b` + string(m[1]) + `\b`).Match(source) {
			t.Errorf("%s is declared and never written", m[1])
		}
	}
}
