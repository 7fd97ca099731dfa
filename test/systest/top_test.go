package systest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// atShell is a shell in a terminal, whose prompt is "ready>", and a broker that its commands find.
type atShell struct {
	*terminal
	t      *testing.T
	server *peers.Server
	client *wire.Conn
}

func newShell(t *testing.T, columns, lines int) *atShell {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "admin.sock")
	s := &atShell{t: t, server: peers.Start(t, peers.Gearloop, "--admin-socket", socket)}
	s.client = wire.Dial(t, s.server.Addr)
	s.terminal = newTerminal(t, columns, lines, []string{
		"PATH=" + filepath.Dir(peers.Binary(t)) + ":" + os.Getenv("PATH"), "GEARLOOP_ADMIN_SOCKET=" + socket, "PS1=ready> ",
	}, "sh", "-i")
	s.has("ready>")
	return s
}

// enter types a line.
func (s *atShell) enter(line string) {
	s.t.Helper()
	s.types(line)
	s.keys("Enter")
}

// clean requires the terminal to be as before the screen was shown: the shell's lines, a cursor, and an echo.
func (s *atShell) clean() {
	s.t.Helper()
	s.shows("the shell's lines", func(screen string) bool {
		return strings.HasPrefix(screen, "ready> echo be''fore") && lastPrompt(screen) == "ready>"
	})
	if alternate, cursor := s.is("alternate_on"), s.is("cursor_flag"); alternate != "0" || cursor != "1" {
		s.t.Errorf("the terminal shows the other screen: %s, a cursor: %s", alternate, cursor)
	}
	s.enter("stty -a | tr ' ;' '\\n\\n' | grep -cx -e echo -e icanon -e isig -e opost")
	s.has("\n4\n")
}

// TestTop: the screen is drawn, reacts to keys, to new sizes and to events, and restores the terminal.
func TestTop(t *testing.T) {
	t.Parallel()
	s := newShell(t, 120, 30)
	for i := range 40 {
		s.client.Submit(codec.SubmitJobBg, fmt.Sprintf("f%02d", i), "", "x")
	}
	worker := wire.Dial(t, s.server.Addr)
	worker.Send(codec.SetClientID, "worker-1")
	worker.Send(codec.CanDo, "img")
	worker.Sync()
	s.enter("echo be''fore")
	s.has("\nbefore\n")
	s.enter("gearloop top --interval 0.1")
	s.has("FUNCTION", "SUBMITTED/s", "functions by waiting, 1 to ", "of 41", "f00", "? help  q quit")
	if s.is("alternate_on") != "1" || s.is("cursor_flag") != "0" {
		t.Error("it does not take the other screen, or shows a cursor")
	}
	for _, step := range []struct {
		keys []string
		has  []string
	}{
		{[]string{"w"}, []string{"workers by", "worker-1"}},
		{[]string{"l"}, []string{"event loops by number", "PACKETS/s", "LAG P99"}},
		{[]string{"Tab"}, []string{"functions by waiting"}},
		{[]string{"s"}, []string{"functions by oldest"}},
		{[]string{"/", "3", "9", "Enter"}, []string{"filter 39", "f39"}},
		{[]string{"?"}, []string{"a part of the name, or a pattern"}},
		{[]string{"Escape"}, []string{"of 41"}},
		{[]string{"p"}, []string{", paused"}},
		{[]string{"p", "NPage"}, []string{"f39"}},
	} {
		s.keys(step.keys...)
		s.has(step.has...)
	}
	for _, size := range [][2]int{{60, 12}, {140, 40}, {20, 5}, {120, 30}} {
		s.run("resize-window", "-x", strconv.Itoa(size[0]), "-y", strconv.Itoa(size[1]))
		s.shows(fmt.Sprintf("%d lines", size[1]), func(screen string) bool {
			lines := strings.Split(strings.TrimSuffix(screen, "\n"), "\n")
			return len(lines) == size[1] && strings.HasPrefix(lines[size[1]-1], "functions by oldest"[:min(19, size[0])])
		})
	}
	s.client.Send(codec.SubmitJobBg, "hot", "", "x")
	s.keys("/")
	s.types("hot")
	s.keys("Enter")
	s.has("hot ")
	s.keys("q")
	s.clean()
}

// TestTopEnds: a signal or ^C ends the screen as q does. A broker that stops and comes back is shown as such.
func TestTopEnds(t *testing.T) {
	t.Parallel()
	s := newShell(t, 100, 20)
	pidfile := filepath.Join(t.TempDir(), "pid")
	s.enter("echo be''fore")
	s.has("\nbefore\n")
	s.enter("sh -c 'echo $$ > " + pidfile + "; exec gearloop top -i 0.1 -s " + s.server.Addr + "'; echo status $?")
	s.has("FUNCTION", "functions by waiting")
	terminate(t, pidfile)
	s.has("status 0")
	s.clean()

	s.enter("clear; echo be''fore")
	s.enter("gearloop top -i 0.1")
	s.has("FUNCTION")
	s.server.Stop()
	s.has("does the broker run")
	s.keys("C-c")
	await.Until(t, "the shell's screen", func() bool { return s.is("alternate_on") == "0" })
}

// TestConfirmation: a command that ends many jobs asks for their number on a terminal, and otherwise does
// nothing.
func TestConfirmation(t *testing.T) {
	t.Parallel()
	s := newShell(t, 120, 20)
	for range 7 {
		s.client.Submit(codec.SubmitJobBg, "f", "", "x")
	}
	s.enter("gearloop purge f")
	s.has("7 jobs of f end. Type 7 to go on:")
	s.enter("yes")
	s.has("gearloop: nothing was done")
	s.enter("clear; gearloop purge f")
	s.has("Type 7 to go on:")
	s.enter("7")
	s.has("f: 7 jobs ended")
	s.client.Submit(codec.SubmitJob, "g", "", "x") // it keeps the broker
	s.enter("clear; gearloop drain --wait; echo status $?")
	s.has("Type drain to go on:")
	s.enter("drain")
	s.has("draining: 0 running, 1 waiting")
	s.client.Close()
	s.has("The broker has ended", "status 0")
	s.shows("no line of progress", func(screen string) bool { return !strings.Contains(screen, "draining:") })
}

// TestStoreProgress: commands on stored jobs that take long show their progress on a terminal, and nothing
// elsewhere.
func TestStoreProgress(t *testing.T) {
	t.Parallel()
	s := newShell(t, 120, 20)
	dir := t.TempDir()
	pipe := filepath.Join(dir, "jobs")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	s.enter("gearloop store import " + dir + "/store < " + pipe + "; gearloop store check " + dir + "/store | tail -n 1")
	w, err := os.OpenFile(pipe, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	line := `{"function":"f","argument":"` + strings.Repeat("x", 10_000) + `"}` + "\n"
	jobs := 0
	s.shows("progress", func(screen string) bool { // it appears after a moment of work
		for range 10 {
			if _, err := w.WriteString(line); err != nil {
				t.Fatal(err)
			}
			jobs++
		}
		return strings.Contains(screen, "import: ") && strings.Contains(screen, " jobs")
	})
	w.Close()
	s.has(fmt.Sprintf("%d jobs imported", jobs), "no damage")
	s.shows("no line of progress", func(screen string) bool { return !strings.Contains(screen, "import: ") })
	r := run(t, nil, "store", "check", dir+"/store")
	if r.code != 0 || r.stderr != "" || strings.Contains(r.stdout, "\r") {
		t.Errorf("%+v", r)
	}
}
