package clustertest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"gearloop/test/peers"
)

// Brokers without a database, as docs/cluster.md has it: each has its directory, clients and workers have a
// list. One dies, and clients go on at the other. Its directory is taken elsewhere: a broker that is started
// there does its jobs, or another one gets them by dump and import.
func TestDirectories(t *testing.T) {
	t.Parallel()
	for _, imported := range []bool{false, true} {
		name := map[bool]string{false: "started elsewhere", true: "imported"}[imported]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			s := open(t, "", 0)
			s.l.apart = true
			for _, dir := range []string{"a", "b"} {
				s.add("", "--data-dir", filepath.Join(root, dir)).start()
			}
			s.submit(8)
			s.l.more(200)
			dead, other := s.brokers[0], s.brokers[1]
			dead.kill()
			s.l.more(100)
			elsewhere := filepath.Join(root, "elsewhere")
			shell(t, "cp -a "+filepath.Join(root, "a")+" "+elsewhere)
			if err := os.RemoveAll(filepath.Join(root, "a")); err != nil {
				t.Fatal(err)
			}
			if imported {
				other.kill()
				gearloop := peers.Binary(t)
				shell(t, gearloop+" store dump "+elsewhere+" | "+gearloop+" store import --new-handles "+filepath.Join(root, "b"))
				other.start()
			} else {
				dead.options = []string{"--data-dir", elsewhere}
				dead.start()
			}
			s.work(2)
			s.l.more(100)
			s.stopSubmitters()
			s.submitters.Wait()
			s.l.caughtUp()
			s.l.report()
		})
	}
}

func shell(t *testing.T, line string) {
	t.Helper()
	if out, err := exec.Command("sh", "-ec", line).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
}
