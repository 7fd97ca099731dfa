package main

import "testing"

func TestFill(t *testing.T) {
	const before = "a\n<!-- measured: x -->\nold\n<!-- end -->\nb\n<!-- measured: y -->\n<!-- end -->\nc\n"
	const want = "a\n<!-- measured: x -->\nX\n<!-- end -->\nb\n<!-- measured: y -->\nY\n<!-- end -->\nc\n"
	blocks := map[string]string{"x": "X\n", "y": "Y\n"}
	for _, text := range []string{before, want} {
		if got, err := replaceBlocks(text, blocks); got != want || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	for _, broken := range []string{"<!-- measured: x -->\n", "<!-- measured: z -->\n<!-- end -->", "<!-- measured: x <!-- end -->"} {
		if _, err := replaceBlocks(broken, blocks); err == nil {
			t.Errorf("%q was filled", broken)
		}
	}
}

// TestTables writes tables and plots of results that lack something.
func TestTables(t *testing.T) {
	r := results{Scenarios: []scenario{
		{Name: "deep", Title: "Deep", Servers: []cell{{Server: "floor", CPU: 10}, {Server: "gearloop", CPU: 12.5}}},
		{Name: "16m", Title: "Large", Servers: []cell{{Server: "gearloop", CPU: 12345, Peak: 3 << 20}}},
	}}
	const want = "| scenario | floor | Gearloop |\n|---|--:|--:|\n| Deep | 10.0 | 12.5 (1.25 ×) |\n| Large | – | 12,345 |\n"
	if got := r.blocks()["cpu"]; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	memory := series{Name: "memory"}
	memory.add("gearloop", 0, 10)
	memory.add("gearloop", 1024, 11)
	payload := series{Name: "payload"}
	payload.add("gearloop", 64, 30)
	payload.add("gearloop", 1024, 90)
	loops := series{Name: "loops"}
	loops.add("deep", 1, 1000)
	loops.add("deep", 2, 2000)
	r.Series = []series{memory, payload, loops}
	const row = "| Gearloop | 10.0 | 1.00 | – | 3.00 |\n"
	if got := r.memoryTable(); len(got) < len(row) || got[len(got)-len(row):] != row {
		t.Errorf("got %s, want a row %s", got, row)
	}
	r.Scenarios = append(r.Scenarios, scenario{Name: "open", Servers: []cell{{Server: "floor", Distribution: []point{{2, 0.1}, {10, 1}}}}})
	files, err := r.plots()
	if err != nil || len(files) != 4 {
		t.Fatalf("%d plots, %v", len(files), err)
	}
}
