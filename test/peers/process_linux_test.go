package peers

import (
	"syscall"
	"testing"

	"gearloop/test/await"
)

// TestFreeze: nothing of a frozen server runs, and it goes on where it was.
func TestFreeze(t *testing.T) {
	s := Start(t, Gearloop)
	if standsStill(s.PID) {
		t.Error("it does not run")
	}
	if err := s.Freeze(); err != nil {
		t.Fatal(err)
	}
	if !standsStill(s.PID) {
		t.Error("it runs")
	}
	if err := s.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "it goes on", func() bool { return !standsStill(s.PID) })
}
