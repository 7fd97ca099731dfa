package systest

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gearloop/test/peers"
)

// mistake is a mistake in options and the program's message for it (see testdata/mistakes.txt).
type mistake struct {
	status string
	input  string // variables, program and arguments
	conf   string // for $DIR/conf
	says   string
}

// readMistakes returns the mistakes in the file.
func readMistakes(t *testing.T) (all []mistake) {
	t.Helper()
	text, err := os.ReadFile("testdata/mistakes.txt")
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(text)) {
		l = strings.TrimSuffix(l, "\n")
		last := len(all) - 1
		switch {
		case l == "" || l[0] == '#':
		case l[0] == '|':
			all[last].conf += strings.TrimPrefix(l[1:], " ") + "\n"
		case strings.HasPrefix(l, "  "):
			all[last].says += l[2:] + "\n"
		default:
			status, input, _ := strings.Cut(l, " ")
			all = append(all, mistake{status: status, input: input})
		}
	}
	return all
}

// A start that fails prints one line on standard error: what was written where, what it must be, and what was
// probably meant. The exit status is 2 for a mistake in the options, and 1 if the server cannot run or has
// the name of the C server. Nothing is left behind. With -v the messages are printed.
func TestMistakes(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	programs := map[string]string{"gearloop": peers.Binary(t), "gearmand": gearmand(t)}
	mistakes := readMistakes(t)
	if len(mistakes) < 100 {
		t.Fatalf("only %d mistakes were read", len(mistakes))
	}
	each(t, 4, len(mistakes), func(i int) { try(t, mistakes[i], programs, port) })
}

// try starts the program with one mistake.
func try(t *testing.T, m mistake, programs map[string]string, port string) {
	dir := t.TempDir()
	file, long := filepath.Join(dir, "file"), strings.Repeat("x", 110)
	for path, text := range map[string]string{file: "precious", filepath.Join(dir, "conf"): m.conf} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Error(err)
			return
		}
	}
	words := strings.Fields(strings.NewReplacer("$DIR", dir, "TPORT", port, "LONG", long).Replace(m.input))
	var env []string
	for strings.Contains(words[0], "=") {
		env, words = append(env, words[0]), words[1:]
	}
	for i, w := range words {
		words[i] = strings.ReplaceAll(w, `""`, "")
	}
	cmd := command(programs[words[0]], env, words[1:]...)
	r := launch(t, cmd).wait()
	status, says := cmd.ProcessState.String(), strings.NewReplacer(dir, "$DIR", port, "TPORT", long, "LONG").Replace(r.stderr)
	want, open := strings.CutSuffix(m.says, "...\n")
	fits := says == m.says || open && strings.HasPrefix(says, want)
	if status != "exit status "+m.status || r.stdout != "" || !fits {
		t.Errorf("%s\n%s, want %s; prints %q, says\n%swant\n%s", m.input, status, m.status, r.stdout, says, m.says)
	}
	t.Logf("%s\n%s", m.input, says)
	if text, _ := os.ReadFile(file); string(text) != "precious" {
		t.Errorf("%s: a file was taken for a socket that was left behind", m.input)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("%s: left behind %v, %v", m.input, left, err)
	}
}
