package main

import (
	"os"
	"path/filepath"
	"testing"

	"gearloop/bench"
)

// TestGrowth measures the cheap ones of what a growth series consists of, and draws it.
func TestGrowth(t *testing.T) {
	host, err := bench.NewHost()
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	server, err := host.Start("gearloop")
	if err != nil {
		t.Fatal(err)
	}
	// A name is that of one scenario or series, and of one file.
	seen := map[string]bool{}
	for _, s := range bench.Scenarios() {
		seen[s.Name] = true
	}
	for _, s := range append(allSeries(), namedSeries()...) {
		if seen[s.name] {
			t.Errorf("two are called %s", s.name)
		}
		seen[s.name] = true
	}
	if err := fill(server.Addr, 1000); err != nil {
		t.Error(err)
	}
	r := results{}
	s := series{Name: "listeners"}
	for _, n := range []int{1, 7, 120} {
		cost, err := tellListeners(t.Context(), server, n, 3)
		if err != nil || cost <= 0 {
			t.Errorf("%d listeners: %v, %v", n, cost, err)
		}
		s.add("gearloop", float64(n), float64(cost))
	}
	r.Series = append(r.Series, s)
	dir := t.TempDir()
	if err := r.plotGrowth(dir); err != nil {
		t.Fatal(err)
	}
	if plot, err := os.Stat(filepath.Join(dir, "listeners.svg")); err != nil || plot.Size() < 1000 {
		t.Errorf("%v, %v", plot, err)
	}
}
