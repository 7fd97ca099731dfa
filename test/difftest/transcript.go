package difftest

import (
	"fmt"
	"strings"
)

// entry is something that the server sent.
type entry struct {
	at   int    // index of the step after which it came
	step string // that step, as written
	conn string
	text string
}

// transcript is everything that a server sent during a scenario.
type transcript []entry

// withRuns joins repeated entries.
func (t transcript) withRuns() transcript {
	var out transcript
	for i := 0; i < len(t); {
		n := 1
		for i+n < len(t) && t[i+n] == t[i] {
			n++
		}
		e := t[i]
		if n > 1 {
			e.text = fmt.Sprintf("%s (%d times)", e.text, n)
		}
		out = append(out, e)
		i += n
	}
	return out
}

// String formats the transcript as in scenario files: each step that caused output, and the output below it.
func (t transcript) String() string {
	var b strings.Builder
	at := -1
	for _, e := range t.withRuns() {
		if e.at != at {
			fmt.Fprintf(&b, "%s\n", e.step)
			at = e.at
		}
		fmt.Fprintf(&b, "    %s: %s\n", e.conn, e.text)
	}
	return b.String()
}

// byConnection formats the output of each connection without the steps.
func (t transcript) byConnection() string {
	var names []string
	texts := map[string]*strings.Builder{}
	for _, e := range t {
		b := texts[e.conn]
		if b == nil {
			b = &strings.Builder{}
			texts[e.conn] = b
			names = append(names, e.conn)
		}
		fmt.Fprintf(b, "    %s\n", e.text)
	}
	sortNames(names)
	var out strings.Builder
	for _, n := range names {
		fmt.Fprintf(&out, "%s\n%s", n, texts[n])
	}
	return out.String()
}

// comparable returns the form in which transcripts of a scenario are compared.
func (sc *scenario) comparable(t transcript) string {
	if sc.loose {
		return strings.TrimSpace(t.byConnection())
	}
	return strings.TrimSpace(t.String())
}

// differences returns the first lines in which two texts differ with the preceding ones, or "" if they are
// equal.
func differences(nameA, a, nameB, b string) string {
	if a == b {
		return ""
	}
	const before, after = 6, 6
	la, lb := strings.Split(a, "\n"), strings.Split(b, "\n")
	at := 0
	for at < len(la) && at < len(lb) && la[at] == lb[at] {
		at++
	}
	var out strings.Builder
	for _, l := range la[max(0, at-before):at] {
		fmt.Fprintf(&out, "  %s\n", l)
	}
	for _, side := range []struct {
		name  string
		lines []string
	}{{nameA, la}, {nameB, lb}} {
		fmt.Fprintf(&out, "%s:\n", side.name)
		for _, l := range side.lines[at:min(len(side.lines), at+after)] {
			fmt.Fprintf(&out, "! %s\n", l)
		}
	}
	return out.String()
}
