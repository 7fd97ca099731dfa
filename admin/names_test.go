package admin

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/sched"
	"gearloop/test/collect"
)

func TestAppendName(t *testing.T) {
	for name, want := range map[string]string{
		"":                        "",
		"resize":                  "resize",
		"App\\notify 100%+ä.<\">": "App\\notify 100%+ä.<\">",
		"aa\n.\n":                 "aa%0A.%0A",
		"\t\r\v\f\x00\x1b[2J\x7f": "%09%0D%0B%0C%00%1B[2J%7F",
		"\u0085\u009b\u00a0":      "%C2%85%C2%9B\u00a0",
		"a\u2027\u2028\u2029b":    "a\u2027%E2%80%A8%E2%80%A9b",
		"\x85\xc2\xe2\x80":        "\x85\xc2\xe2\x80", // no UTF-8
		"\xc2\n\xe2\x80\n":        "\xc2%0A\xe2\x80%0A",
	} {
		if got := string(appendName([]byte("x"), name)); got != "x"+want {
			t.Errorf("%q is written %q, want %q", name, got, "x"+want)
		}
	}
}

// nameOf draws what a peer may choose: anything, often what would end a row, a column or a table.
func nameOf(t *rapid.T, what string) string {
	return strings.Join(rapid.SliceOfN(rapid.OneOf(
		rapid.SampledFrom([]string{"\n", ".", "\n.\n", "\r\n", "\t", "a", "\x1b", "\u0085", "\u2028", "\xe2", "\x80", "\xc2", "\x85", " ", "%"}),
		rapid.StringN(0, 3, 8),
	), 0, 6).Draw(t, what), "")
}

// TestTablesCantBeForged: whatever peers call themselves and their functions and jobs, a table has its rows,
// each row its columns, and the first line that is a dot is its end.
func TestTablesCantBeForged(t *testing.T) {
	for _, name := range dialect.Names() {
		t.Run(name, rapid.MakeCheck(func(rt *rapid.T) {
			d, err := dialect.Named(name)
			if err != nil {
				rt.Fatal(err)
			}
			b := newBoard(t)
			b.Dialect = d
			b.Sched = sched.New(sched.Config{Dialect: d, HandlePrefix: "H:board"})
			worker, client := b.peer(3, "127.0.0.1:1"), b.peer(4, "127.0.0.1:2")
			b.send(worker, codec.SetClientID, nameOf(rt, "id"))
			functions := map[string]bool{}
			for range rapid.IntRange(0, 3).Draw(rt, "abilities") {
				f := strings.ReplaceAll(nameOf(rt, "function"), "\x00", "")
				functions[f] = true
				b.send(worker, codec.CanDo, f)
			}
			for range rapid.IntRange(0, 4).Draw(rt, "jobs") {
				unique := nameOf(rt, "unique")
				if rapid.Bool().Draw(rt, "by argument") {
					unique = "-"
				}
				b.send(client, codec.SubmitJob, nameOf(rt, "function"), unique, nameOf(rt, "argument"))
			}
			jobs := len(collect.Rows(b.Sched.WalkJobs()))
			rows := map[string][]int{ // tabs that each row may have
				"workers": {0}, "status": {3}, "prioritystatus": {4}, "jobs": {3}, "clients": {0, 3}, "show jobs": {3}, "show unique jobs": {0},
			}
			count := map[string]int{
				"workers": 2, "status": len(collect.Rows(b.Sched.WalkFunctions())), "prioritystatus": len(collect.Rows(b.Sched.WalkFunctions())),
				"jobs": jobs, "clients": 2 + jobs, "show jobs": jobs, "show unique jobs": jobs,
			}
			for command, tabs := range rows {
				answer, _ := b.answer(command, Loopback)
				lines := strings.Split(answer, "\n")
				if slices.Index(lines, ".") != len(lines)-2 || lines[len(lines)-1] != "" || len(lines)-2 != count[command] {
					rt.Fatalf("%s: %q, want %d rows", command, answer, count[command])
				}
				for _, line := range lines[:len(lines)-2] {
					if !slices.Contains(tabs, strings.Count(line, "\t")) {
						rt.Fatalf("%s: %q has other columns", command, line)
					}
					for i, r := range line {
						if _, size := utf8.DecodeRuneInString(line[i:]); r != '\t' && (size > 1 || r < utf8.RuneSelf) &&
							(unicode.IsControl(r) || r == '\u2028' || r == '\u2029') {
							rt.Fatalf("%s: %q holds %q", command, line, r)
						}
					}
				}
			}
		}))
	}
}
