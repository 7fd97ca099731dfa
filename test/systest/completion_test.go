package systest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// TestCompletion makes the three shells complete commands, flags, values, and names from a running broker.
func TestCompletion(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "admin.sock")
	server := peers.Start(t, peers.Gearloop, "--admin-socket", socket)
	c := wire.Dial(t, server.Addr)
	handle := c.Submit(codec.SubmitJobBg, "mail.send", "", "x")
	c.Submit(codec.SubmitJobBg, "mail:bulk", "", "x")
	c.Submit(codec.SubmitJobBg, "img", "", "x")
	bin := filepath.Dir(peers.Binary(t))

	rc := filepath.Join(t.TempDir(), "rc")
	if err := os.WriteFile(rc, []byte("PS1='ready> '\nbind 'set bell-style none'\n. /usr/share/bash-completion/bash_completion\n"+
		"source <(gearloop completion bash)\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	zdir := t.TempDir()
	if err := os.WriteFile(filepath.Join(zdir, ".zshrc"), []byte("PS1='ready> '\nsetopt nobeep\nautoload -U compinit; compinit -u -D\n"+
		"source <(gearloop completion zsh)\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for shell, command := range map[string][]string{
		"bash": {"bash", "--noprofile", "--rcfile", rc, "-i"},
		"zsh":  {"zsh", "-d", "-i"},
		"fish": {"fish", "--private", "-C", "function fish_prompt; echo 'ready> '; end; function fish_greeting; end; gearloop completion fish | source"},
	} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			term := newTerminal(t, 120, 40, []string{
				"PATH=" + bin + ":" + os.Getenv("PATH"), "GEARLOOP_ADMIN_SOCKET=" + socket, "ZDOTDIR=" + zdir,
			}, command...)
			term.has("ready>")
			// The completion gives up when the broker does not answer within a second, so it is asked again.
			complete := func(typed string, presses []string, want string, holds func(screen string) bool) {
				t.Helper()
				var pressed time.Time
				term.shows(want, func(screen string) bool {
					done := holds(screen)
					if !done && time.Since(pressed) > await.Scaled(5*time.Second) {
						term.keys("C-u")
						term.types(typed)
						term.keys(presses...)
						pressed = time.Now()
					}
					return done
				})
			}
			for _, step := range []struct {
				typed, want string
			}{
				{"gearloop expl", "gearloop explain"},
				{"gearloop pause mail.", "gearloop pause mail.send"},
				{"gearloop status im", "gearloop status img"},
				{"gearloop cancel H:", "gearloop cancel H:"},
				{"gearloop jobs --state del", "gearloop jobs --state delayed"},
				{"gearloop jobs --older", "gearloop jobs --older-than"},
				{"gearloop completion fi", "gearloop completion fish"},
				{"gearloop priority hi", "gearloop priority high"},
				{"gearloop explain " + handle[:len(handle)-1], "gearloop explain " + handle},
			} {
				complete(step.typed, []string{"Tab"}, step.want, func(screen string) bool {
					return strings.Contains(lastPrompt(screen), step.want)
				})
				term.keys("C-u")
				term.shows("an empty line", func(screen string) bool { return lastPrompt(screen) == "ready>" })
			}
			complete("gearloop pause ", []string{"Tab", "Tab"}, "all functions", func(screen string) bool {
				return strings.Contains(screen, "mail.send") && strings.Contains(screen, "bulk") && strings.Contains(screen, "img")
			})
		})
	}
}

// lastPrompt returns the command line that is being edited.
func lastPrompt(screen string) (line string) {
	for l := range strings.Lines(screen) {
		if strings.HasPrefix(l, "ready>") {
			line = strings.TrimSpace(l)
		}
	}
	return line
}
