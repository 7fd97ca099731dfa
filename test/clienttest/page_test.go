package clienttest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gearloop/test/peers"
)

var pageBlock = regexp.MustCompile("(?ms)^<!-- ([a-z]+) (worker|client) -->\n```[a-z]+\n(.*?)^```$")

// TestPage runs the examples of docs/clients.md with the address of a test server. Go's worker sleeps longer, as
// 50 ms can be too short on a busy machine.
func TestPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := map[string]map[string]string{}
	for _, m := range pageBlock.FindAllStringSubmatch(string(text), -1) {
		if examples[m[1]] == nil {
			examples[m[1]] = map[string]string{}
		}
		examples[m[1]][m[2]] = m[3]
	}
	if n := strings.Count(string(text), "\n```\n"); len(examples) != 6 || n != 2*len(examples) {
		t.Fatalf("%d languages, %d blocks of code: an example is not run", len(examples), n)
	}
	for language, example := range examples {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			server := peers.Start(t, peers.Gearloop)
			_, port, _ := strings.Cut(server.Addr, ":")
			prepare := func(role string) []string {
				code := strings.NewReplacer("127.0.0.1:4730", server.Addr, "4730", port,
					"50 * time.Millisecond", "5 * time.Second").Replace(example[role])
				if code == "" {
					t.Fatalf("no %s", role)
				}
				return prepareExample(t, language, code, server.Addr)
			}
			launch(t, prepare("worker")...)
			run(t, "", prepare("client")...).want(t, "olleh")
		})
	}
}

// prepareExample returns the command that runs an example.
func prepareExample(t *testing.T, language, code, server string) []string {
	t.Helper()
	dir := t.TempDir()
	write := func(name string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(code), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	build := func(argv ...string) {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", argv, err, out)
		}
	}
	program := filepath.Join(dir, "program")
	switch language {
	case "shell":
		if err := os.Symlink(peers.Binary(t), filepath.Join(dir, "gearloop")); err != nil {
			t.Fatal(err)
		}
		return []string{"env", "PATH=" + dir + ":" + os.Getenv("PATH"), "GEARLOOP_SERVER=" + server, "sh", write("example.sh")}
	case "perl":
		return perl(write("example.pl"))
	case "php":
		return []string{"php", write("example.php")}
	case "node":
		modules, err := filepath.Abs("testdata/node/node_modules")
		if err != nil {
			t.Fatal(err)
		}
		return []string{"env", "NODE_PATH=" + modules, "node", write("example.js")}
	case "go":
		write("main.go")
		for _, name := range []string{"go.mod", "go.sum"} {
			text, err := os.ReadFile(filepath.Join("goclients", name))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		build("go", "build", "-o", program, ".")
		return []string{program}
	case "c":
		build("cc", "-o", program, write("example.c"), "-lgearman")
		return []string{program}
	}
	t.Fatalf("%s: nobody knows how to run it", language)
	return nil
}
