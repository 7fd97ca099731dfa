package admin

import (
	"slices"
	"strings"
	"testing"

	"gearloop/internal/dialect"
)

// changing has each command that changes something, with arguments that are right and others that are wrong: a
// refused peer is not told which they are.
var changing = map[string][]string{
	"maxqueue": {"maxqueue f 3", "maxqueue", "MAXQUEUE f x"},
	"cancel":   {"cancel job H:board:1", "cancel"},
	"create":   {"create function f", "create"},
	"drop":     {"drop function f", "drop"},
	"shutdown": {"shutdown graceful", "shutdown", "Shutdown x"},
}

// One rule for all commands that change something, in both dialects; the others are for everybody.
func TestWhoMayChange(t *testing.T) {
	origins := map[string]Origin{"network": Network, "loopback": Loopback, "unix socket": UnixSocket}
	for _, d := range []*dialect.Dialect{dialect.Perl, dialect.C} {
		for _, rule := range []struct {
			allow   Allow
			may     []Origin
			refused map[*dialect.Dialect]string // without the name of the command
		}{
			{AllowAny, []Origin{Network, Loopback, UnixSocket}, nil},
			{AllowLocal, []Origin{Loopback, UnixSocket}, map[*dialect.Dialect]string{
				dialect.Perl: "ERR not_allowed Only+local+connections+may+send+this+command\r\n",
				dialect.C:    "ERR NOT_ALLOWED Only+local+connections+may+send+this+command+",
			}},
			{AllowUnix, []Origin{UnixSocket}, map[*dialect.Dialect]string{
				dialect.Perl: "ERR not_allowed Only+connections+over+a+unix+socket+may+send+this+command\r\n",
				dialect.C:    "ERR NOT_ALLOWED Only+connections+over+a+unix+socket+may+send+this+command+",
			}},
			{AllowNone, nil, map[*dialect.Dialect]string{
				dialect.Perl: "ERR not_allowed No+connection+may+send+this+command\r\n",
				dialect.C:    "ERR NOT_ALLOWED No+connection+may+send+this+command+",
			}},
		} {
			for where, from := range origins {
				t.Run(d.Name+", "+rule.allow.String()+", "+where, func(t *testing.T) {
					for name, lines := range changing {
						for _, line := range lines {
							b := newBoard(t)
							b.Dialect, b.Allow = d, rule.allow
							got, action := b.answer(line, from)
							if slices.Contains(rule.may, from) {
								if strings.Contains(strings.ToLower(got), "not_allowed") {
									t.Errorf("%q: got %q", line, got)
								}
								continue
							}
							want := rule.refused[d]
							if d == dialect.C {
								word, _, _ := strings.Cut(line, " ")
								want += strings.ToLower(word) + "\r\n"
							}
							if got != want || action != Nothing {
								t.Errorf("%s: %q: got %q, action %d; want %q", name, line, got, action, want)
							}
							if status, _ := b.answer("status", from); status != ".\n" {
								t.Errorf("%q was refused, and left %q", line, status)
							}
						}
					}
					for name, command := range commands {
						if _, ok := changing[name]; ok != command.changes {
							t.Errorf("%s: changes something: %v, want %v", name, command.changes, ok)
						}
						if command.changes {
							continue
						}
						b := newBoard(t)
						b.Dialect, b.Allow = d, rule.allow
						if got, _ := b.answer(name+" jobs", from); strings.Contains(strings.ToLower(got), "not_allowed") {
							t.Errorf("%s: %q", name, got)
						}
					}
				})
			}
		}
	}
}

func TestParseAllow(t *testing.T) {
	for _, a := range []Allow{AllowLocal, AllowAny, AllowUnix, AllowNone} {
		if got, err := ParseAllow(a.String()); got != a || err != nil {
			t.Errorf("%v: %v, %v", a, got, err)
		}
	}
	for _, text := range []string{"", "all", "Local", "local,unix"} {
		if a, err := ParseAllow(text); err == nil || !strings.Contains(err.Error(), "local, any, unix, none") {
			t.Errorf("%q: %v, %v", text, a, err)
		}
	}
}
