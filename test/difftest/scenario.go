package difftest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// side is one of the two servers that a scenario is played to.
type side string

const (
	reference side = "reference"
	ours      side = "ours"
	both      side = ""
)

// scenario is one parsed file.
type scenario struct {
	name       string
	options    map[side][]string
	loose      bool
	deviations []string
	unordered  bool // rows of lists may come in any order
	lenient    bool // handles that have not appeared are unknown ones
	// exceptionEnds: WORK_EXCEPTION ends a job.
	exceptionEnds bool
	steps         []step
	// expected has the transcripts of a scenario with deviations.
	expected map[side]string
}

// step is a line of a scenario, after expansion of repeats.
type step struct {
	line int    // in the file, from 1
	text string // as written, for transcripts and messages
	only side   // both, or the only server that it applies to
	conn string // the connection, or "" for steps about the server
	held bool   // the name had an exclamation mark
	verb string
	args []string // tokens, not evaluated
}

func (sc *scenario) optionsFor(s side) []string {
	return slices.Concat(sc.options[both], sc.options[s])
}

// handlePrefix returns the prefix of a server's handles, if an option sets it.
func (sc *scenario) handlePrefix(s side) string {
	options := sc.optionsFor(s)
	if i := slices.Index(options, "--job-handle-prefix"); i >= 0 && i+1 < len(options) {
		return options[i+1]
	}
	return ""
}

// loadScenarios reads all scenarios of a directory, by name.
func loadScenarios(dir string) ([]*scenario, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, err
	}
	var all []*scenario
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		sc, err := parseScenario(strings.TrimSuffix(filepath.Base(f), ".txt"), string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		all = append(all, sc)
	}
	return all, nil
}

// transcriptMark begins the line above an expected transcript.
const transcriptMark = "---- "

func parseScenario(name, text string) (*scenario, error) {
	sc := &scenario{name: name, options: map[side][]string{}, expected: map[side]string{}}
	script, rest, _ := strings.Cut(text, "\n"+transcriptMark)
	if rest != "" {
		if err := sc.parseExpected(rest); err != nil {
			return nil, err
		}
	}
	var numbered []sourceLine
	for i, l := range strings.Split(script, "\n") {
		numbered = append(numbered, sourceLine{i + 1, l})
	}
	lines, err := unroll(numbered)
	if err != nil {
		return nil, err
	}
	for _, l := range lines {
		if err := sc.parseLine(l); err != nil {
			return nil, fmt.Errorf("line %d: %w", l.number, err)
		}
	}
	return sc, sc.check()
}

// parseExpected reads the two transcripts of a scenario with a deviation.
func (sc *scenario) parseExpected(text string) error {
	for _, part := range strings.Split(text, "\n"+transcriptMark) {
		head, body, _ := strings.Cut(part, "\n")
		s := side(strings.TrimSpace(head))
		if s != reference && s != ours {
			return fmt.Errorf("a transcript is of %q or %q, not of %q", reference, ours, s)
		}
		if _, twice := sc.expected[s]; twice {
			return fmt.Errorf("two transcripts of %q", s)
		}
		sc.expected[s] = strings.TrimSpace(body)
	}
	return nil
}

func (sc *scenario) check() error {
	if len(sc.steps) == 0 {
		return fmt.Errorf("no steps")
	}
	if len(sc.deviations) == 0 {
		if len(sc.expected) != 0 {
			return fmt.Errorf("transcripts, but no deviation that allows them to differ")
		}
		return nil
	}
	if len(sc.expected) != 2 {
		return fmt.Errorf("a deviation needs the transcripts of %q and %q", reference, ours)
	}
	if sc.expected[reference] == sc.expected[ours] {
		return fmt.Errorf("a deviation whose transcripts are the same")
	}
	return nil
}

type sourceLine struct {
	number int
	text   string
}

// unroll expands the repeats.
func unroll(lines []sourceLine) ([]sourceLine, error) {
	var out []sourceLine
	for i := 0; i < len(lines); i++ {
		fields := strings.Fields(lines[i].text)
		if len(fields) == 0 || fields[0] != "repeat" {
			if len(fields) == 1 && fields[0] == "end" {
				return nil, fmt.Errorf("line %d: end without repeat", lines[i].number)
			}
			out = append(out, lines[i])
			continue
		}
		end := i + 1
		for end < len(lines) && strings.TrimSpace(lines[end].text) != "end" {
			end++
		}
		if end == len(lines) {
			return nil, fmt.Errorf("line %d: repeat without end", lines[i].number)
		}
		times, err := strconv.Atoi(strings.Join(fields[1:], " "))
		if err != nil || times < 1 {
			return nil, fmt.Errorf("line %d: repeat wants one number", lines[i].number)
		}
		for n := 1; n <= times; n++ {
			for _, l := range lines[i+1 : end] {
				l.text = strings.ReplaceAll(l.text, "$i", strconv.Itoa(n))
				out = append(out, l)
			}
		}
		i = end
	}
	return out, nil
}

// verbsOfServer are the steps that name no connection.
var verbsOfServer = []string{"open", "mask", "operator", "refused", "server"}

func (sc *scenario) parseLine(l sourceLine) error {
	text := strings.TrimSpace(l.text)
	if text == "" || strings.HasPrefix(text, "#") {
		return nil
	}
	st := step{line: l.number, text: text}
	for _, s := range []side{reference, ours} {
		if rest, ok := strings.CutPrefix(text, "["+string(s)+"]"); ok {
			st.only, text = s, strings.TrimSpace(rest)
		}
	}
	tokens, err := tokenize(text)
	if err != nil {
		return err
	}
	switch {
	case tokens[0] == "options":
		sc.options[st.only] = append(sc.options[st.only], tokens[1:]...)
		return nil
	case tokens[0] == "deviation":
		sc.deviations = append(sc.deviations, tokens[1:]...)
		return nil
	case text == "loose":
		sc.loose = true
		return nil
	case slices.Contains(verbsOfServer, tokens[0]):
		st.verb, st.args = tokens[0], tokens[1:]
	case len(tokens) == 1:
		return fmt.Errorf("%q is no step", text)
	default:
		st.conn, st.held = strings.CutSuffix(tokens[0], "!")
		st.verb, st.args = tokens[1], tokens[2:]
		if !knownVerb(st.verb) {
			return fmt.Errorf("no step is called %q", st.verb)
		}
	}
	sc.steps = append(sc.steps, st)
	return nil
}
