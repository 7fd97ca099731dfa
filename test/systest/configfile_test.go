package systest

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"gearloop/test/peers"
)

// A server reads options from a file. SIGHUP does not change them; it logs what would be different after a
// restart.
func TestConfigFileOfServe(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gearloop.conf")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("log-format = json\n")
	s := peers.Start(t, peers.Gearloop, "--config-file", path)
	awaitLog(t, s, `"msg":"started"`)
	write("log-format = json\nmax-packet = 1M\n")
	s.Signal(syscall.SIGHUP)
	awaitLog(t, s, `they take effect after a restart","options":"max-packet"`)
	write("log-format = yaml\n")
	s.Signal(syscall.SIGHUP)
	awaitLog(t, s, path+`:1: --log-format: `)
	s.Signal(syscall.SIGTERM)
	ended(t, s, 0)
	r := run(t, nil, "serve", "--config-file", path)
	if want := "gearloop: " + path + ":1: --log-format: \"yaml\" is unknown: it must be text or json\n"; r.code != 2 || r.stderr != want {
		t.Errorf("exit status %d, %q; want 2, %q", r.code, r.stderr, want)
	}
}
