package difftest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEvaluate(t *testing.T) {
	handle := func(name string) (string, error) {
		if name == "H1" {
			return "H:host:7", nil
		}
		return "", errors.New("no such handle")
	}
	for token, want := range map[string]string{
		`word`:                "word",
		`a+b*2`:               "a+b*2",
		`""`:                  "",
		`"\0a\x00\n\\\"\xff"`: "\x00a\x00\n\\\"\xff",
		`"\x00"+"1"`:          "\x001",
		`"\0"*3+"x"`:          "\x00\x00\x00x",
		`"ä"`:                 "ä",
		`$H1`:                 "H:host:7",
		`$H1+"\0"`:            "H:host:7\x00",
		`@3`:                  pattern(3),
		`@2KiB`:               pattern(2048),
		`@1MiB+"x"`:           pattern(1<<20) + "x",
		`"ab"*0`:              "",
	} {
		got, err := evaluate(token, handle)
		if err != nil || got != want {
			t.Errorf("%s = %q, %v; want %q", token, got, err, want)
		}
	}
	for _, token := range []string{`"open`, `$H2`, `@x`, `@-1`, `"a"*x`, `"a"+`, `"a"b`, `"a"+b`, `"\q"`} {
		if got, err := evaluate(token, handle); err == nil {
			t.Errorf("%s = %q, want an error", token, got)
		}
	}
}

func TestPattern(t *testing.T) {
	p := pattern(3 * patternPeriod)
	var seen [256]bool
	for i := range patternPeriod {
		seen[p[i]] = true
	}
	for b, s := range seen {
		if !s {
			t.Errorf("byte %d is not in the pattern", b)
		}
	}
	// A block displaced by a power of two must be detected.
	for shift := 1; shift < len(p); shift *= 2 {
		if strings.HasPrefix(p[shift:], p[:min(64, len(p)-shift)]) {
			t.Errorf("the pattern repeats after %d bytes", shift)
		}
	}
}

func TestParseScenario(t *testing.T) {
	sc, err := parseScenario("x", `
# a story
options --wakeup 1
[ours] options --max-packet 1K
open c w
c! text "one two"
repeat 2
  w CAN_DO f$i
end
[reference] server lives
`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, st := range sc.steps {
		got = append(got, strings.Join(append([]string{string(st.only), st.conn, st.verb}, st.args...), " "))
	}
	want := []string{"  open c w", ` c text "one two"`, " w CAN_DO f1", " w CAN_DO f2", "reference  server lives"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("steps %q, want %q", got, want)
	}
	if !sc.steps[1].held || sc.steps[2].held {
		t.Error("the exclamation mark is lost or everywhere")
	}
	if o := sc.optionsFor(ours); strings.Join(o, " ") != "--wakeup 1 --max-packet 1K" {
		t.Errorf("our options are %q", o)
	}
	if o := sc.optionsFor(reference); strings.Join(o, " ") != "--wakeup 1" {
		t.Errorf("the reference's options are %q", o)
	}
}

func TestParseScenarioRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":                  "",
		"no step":                  "c",
		"unknown verb":             "c JUMP",
		"open string":              `c text "x`,
		"repeat without end":       "repeat 2\nopen c",
		"end without repeat":       "open c\nend",
		"repeat without number":    "repeat\nopen c\nend",
		"transcripts, unexplained": "open c\n---- reference\na\n---- ours\nb",
		"deviation, unexplained":   "deviation x\nopen c",
		"one transcript":           "deviation x\nopen c\n---- ours\nb",
		"the same transcripts":     "deviation x\nopen c\n---- ours\nb\n---- reference\nb",
		"a transcript of another":  "deviation x\nopen c\n---- ours\nb\n---- theirs\na",
		"a transcript twice":       "deviation x\nopen c\n---- ours\nb\n---- ours\na",
	} {
		if _, err := parseScenario("x", text); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestDeviationIDs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d.md")
	text := "# Title\n## Part\n### one-id\ntext ### no-id\n#### no-id-either\n###no-id\n### two \n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ids, err := deviationIDs(path)
	if err != nil || len(ids) != 2 || !ids["one-id"] || !ids["two"] {
		t.Fatalf("%v, %v", ids, err)
	}
}
