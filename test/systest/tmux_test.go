package systest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gearloop/test/await"
)

// terminal is a real terminal with a program in it: tmux without its status line.
type terminal struct {
	t      *testing.T
	socket string
}

// newTerminal starts a program in a terminal of so many columns and lines. env is added to an environment
// that holds only the path.
func newTerminal(t *testing.T, columns, lines int, env []string, command ...string) *terminal {
	t.Helper()
	dir, err := os.MkdirTemp("", "tmux") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	term := &terminal{t, filepath.Join(dir, "s")}
	conf := filepath.Join(dir, "conf")
	if err := os.WriteFile(conf, []byte("set -g status off\nset -g remain-on-exit on\nset -sg escape-time 0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-S", term.socket, "-f", conf, "new-session", "-d", "-x", fmt.Sprint(columns), "-y", fmt.Sprint(lines)}
	cmd := exec.Command("tmux", append(args, command...)...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LANG=C.UTF-8", "SHELL=/bin/sh", "TERM=xterm"}, env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tmux (see scripts/test-deps.sh): %v\n%s", err, out)
	}
	t.Cleanup(func() { term.run("kill-server") })
	return term
}

// run executes a command of tmux and returns its output.
func (term *terminal) run(args ...string) string {
	term.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-S", term.socket}, args...)...).CombinedOutput()
	if err != nil {
		term.t.Fatalf("tmux %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// keys presses keys by tmux's names for them, such as Enter, Tab, Up and C-c.
func (term *terminal) keys(names ...string) {
	term.t.Helper()
	term.run(append([]string{"send-keys"}, names...)...)
}

// types types a text as it is.
func (term *terminal) types(text string) {
	term.t.Helper()
	term.run("send-keys", "-l", text)
}

// screen returns the terminal's content.
func (term *terminal) screen() string {
	term.t.Helper()
	return term.run("capture-pane", "-p")
}

// is returns the value of a tmux format, such as alternate_on.
func (term *terminal) is(format string) string {
	term.t.Helper()
	return strings.TrimSpace(term.run("display-message", "-p", "#{"+format+"}"))
}

// shows waits until holds accepts the terminal's content.
func (term *terminal) shows(what string, holds func(screen string) bool) {
	term.t.Helper()
	screen, held := "", false
	defer func() {
		if !held {
			term.t.Logf("the terminal shows:\n%s", strings.TrimSpace(screen))
		}
	}()
	await.Until(term.t, what, func() bool {
		screen = term.screen()
		held = holds(screen)
		return held
	})
}

// has waits until the terminal shows all of these texts.
func (term *terminal) has(texts ...string) {
	term.t.Helper()
	term.shows(fmt.Sprintf("%q", texts), func(screen string) bool {
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				return false
			}
		}
		return true
	})
}
