package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

const (
	document = "BENCHMARKS.md"
	picture  = "docs/bench/peers.svg"
	begins   = "<!-- bench/peers -->\n"
	ends     = "<!-- bench/peers ends -->"
)

// write puts what was measured between the marks of the document, and the plot beside it.
func write(measured string, results []*result) error {
	text, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	rewritten, err := between(string(text), measured)
	if err != nil {
		return fmt.Errorf("%s: %w", document, err)
	}
	svg, err := plotCPU(results)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(picture), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(picture, svg, 0o644); err != nil {
		return err
	}
	return os.WriteFile(document, []byte(rewritten), 0o644)
}

// between replaces what is between the marks.
func between(text, content string) (string, error) {
	before, rest, found := strings.Cut(text, begins)
	_, after, closed := strings.Cut(rest, ends)
	if !found || !closed {
		return "", fmt.Errorf("no marks %q and %q, one after the other", begins, ends)
	}
	return before + begins + content + ends + after, nil
}

// describe returns where and with what it was measured.
func (o *options) describe(began time.Time) string {
	versions := []string{"Gearloop with " + strings.Replace(runtime.Version(), "go", "Go ", 1)}
	for _, p := range []struct{ name, debianPackage string }{
		{"C", "gearman-job-server"}, {"Perl", "gearman-server"}, {"beanstalkd", "beanstalkd"}, {"Redis", "redis-server"}, {"RabbitMQ", "rabbitmq-server"},
	} {
		out, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", p.debianPackage).Output()
		if err == nil && len(out) > 0 {
			versions = append(versions, fmt.Sprintf("%s %s", p.name, out))
		}
	}
	if out, err := exec.Command(o.nats, "-v").Output(); err == nil {
		if _, version, ok := strings.Cut(strings.TrimSpace(string(out)), ": v"); ok {
			versions = append(versions, "NATS "+version)
		}
	}
	return fmt.Sprintf("Measured on %s in %.0f seconds, %d cores; %s: `bench-peers %s`\n\n", began.UTC().Format("2006-01-02 15:04 UTC"),
		time.Since(began).Seconds(), runtime.NumCPU(), strings.Join(versions, ", "), strings.Join(os.Args[1:], " "))
}
