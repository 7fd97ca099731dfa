package main

import (
	"os"
	"strings"
	"testing"
)

// TestMain hides variables that configure servers on this machine from the tests.
func TestMain(m *testing.M) {
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, "GEARLOOP_") || strings.HasPrefix(name, "GEARMAND_") {
			os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}
