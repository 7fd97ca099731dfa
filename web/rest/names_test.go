package rest_test

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"gearloop/api"
	"gearloop/codec"
	"gearloop/test/wire"
)

// strangeNames are functions whose names are easily taken for something else on the way.
var strangeNames = []string{
	"a/b", "/", "//", "a//b/", "a%2Fb", "%", "%zz", ".", "..", "a/../b", "./a", "...", "?", "a?b=c&d", "#x", "a+b c", "a;b", "\t", "\r",
	"\x7f", "\xff\xfe", "größe", "gr\xf6\xdfe", "大\xe5\xa4", `"<script>"`, "\\", "*", "a*", "functions", "explain", "{name}",
	"\u2028", "=", "=a", "@1", "-", "-?name=a", "~", " ", "a ", "\u00a0", "&name=a", "+", strings.Repeat("n", 512), strings.Repeat("\xff", 512),
}

// TestNamesOfAnyBytes: a function is found, listed, explained, paused and submitted to under any name that it
// can have, and the name comes back as it is.
func TestNamesOfAnyBytes(t *testing.T) {
	r := newRig(t)
	c, w := wire.Dial(t, r.server.Addr), wire.Dial(t, r.server.Addr)
	ctx := context.Background()
	for _, name := range strangeNames {
		w.Send(codec.CanDo, name)
		handle := c.Submit(codec.SubmitJobBg, name, name[:min(len(name), 64)], name)
		var f api.Function
		if err := r.client.Get(ctx, api.Path("functions", name), nil, &f); err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if got := api.Join(f.Name, f.NameBase64); got != name || (f.NameBase64 == nil) != utf8.ValidString(name) || f.Waiting != 1 {
			t.Errorf("%q: %+v", name, f)
		}
		if e := get[api.Explanation](r, api.Path("functions", name, "explain"), nil); api.Join(e.Function, e.FunctionBase64) != name {
			t.Errorf("why jobs of %q wait: %+v", name, e)
		}
		if !r.post(api.Path("functions", name, "pause"), nil).Changed || !r.post(api.Path("functions", name, "resume"), nil).Changed {
			t.Errorf("%q is not paused and resumed", name)
		}
		var second api.Submitted
		if err := r.client.Post(ctx, api.Path("functions", name, "jobs"), api.Submit{Unique: "second", Argument: "x"}, &second); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		var found []string
		for _, j := range get[api.Page[api.Job]](r, "jobs", url.Values{"function": {name}}).Items {
			if api.Join(j.Function, j.FunctionBase64) == name {
				found = append(found, j.Handle)
			}
		}
		if slices.Sort(found); !slices.Equal(found, sorted(handle, second.Handle)) {
			t.Errorf("jobs of %q: %v", name, found)
		}
		j := get[api.Job](r, api.Path("jobs", handle), nil)
		if api.Join(j.Function, j.FunctionBase64) != name || api.Join(j.Unique, j.UniqueBase64) != name[:min(len(name), 64)] {
			t.Errorf("the job of %q: %+v", name, j)
		}
		if a := get[api.Argument](r, api.Path("jobs", handle, "argument"), nil); api.Join(a.Argument, a.ArgumentBase64) != name {
			t.Errorf("the argument of %q: %+v", name, a)
		}
		same := get[api.Page[api.Job]](r, "jobs", url.Values{"unique": {name[:min(len(name), 64)]}})
		if !slices.ContainsFunc(same.Items, func(j api.Job) bool { return j.Handle == handle }) {
			t.Errorf("the job of %q is not found by its unique id: %+v", name, same)
		}
	}
	seen := map[string]int{}
	for cursor := ""; ; {
		page := get[api.Page[api.Function]](r, "functions", url.Values{"limit": {"3"}, "cursor": {cursor}})
		for _, f := range page.Items {
			seen[api.Join(f.Name, f.NameBase64)]++
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	for _, name := range strangeNames {
		if seen[name] != 1 {
			t.Errorf("%q comes %d times in the list", name, seen[name])
		}
	}
	workers := get[api.Page[api.Connection]](r, "connections", url.Values{"only": {"workers"}}).Items
	if len(workers) != 1 {
		t.Fatalf("workers %+v", workers)
	}
	able := workers[0].Functions
	for _, raw := range workers[0].FunctionsBase64 {
		able = append(able, string(raw))
	}
	if slices.Sort(able); !slices.Equal(able, sorted(strangeNames...)) {
		t.Errorf("the worker can do %q", able)
	}
}

func sorted(all ...string) []string {
	all = slices.Clone(all)
	slices.Sort(all)
	return all
}

// TestNamesThatNoFunctionHas: such are not found, and nothing else is taken for them.
func TestNamesThatNoFunctionHas(t *testing.T) {
	r := newRig(t)
	c := wire.Dial(t, r.server.Addr)
	c.Submit(codec.SubmitJobBg, "a", "", "x")
	for _, name := range []string{"a\x00", "\x00", "a%00", "./a", "a/.", "../functions/a", "A", "a ", strings.Repeat("a", 10_000)} {
		for _, path := range []string{api.Path("functions", name), api.Path("functions", name, "explain")} {
			if p := r.fails("GET", path, nil, nil); p.Status != 404 || !strings.Contains(p.Detail, "there is no function") {
				t.Errorf("%q: %+v", name, p)
			}
		}
	}
	for _, name := range []string{"a\x00b", "\x00", "", "a\nb", strings.Repeat("a", 513)} {
		if p := r.fails("POST", api.Path("functions", name, "jobs"), nil, api.Submit{}); p.Status != 400 {
			t.Errorf("submit to %q: %+v", name, p)
		}
	}
	for _, name := range []string{strings.Repeat("a", 513), "a\x00b"} {
		if p := r.fails("POST", api.Path("functions", name, "pause"), nil, nil); p.Status != 400 {
			t.Errorf("pause %q: %+v", name, p)
		}
	}
}

// TestDotSegments: what a client has left unescaped is not taken for another resource.
func TestDotSegments(t *testing.T) {
	r := newRig(t)
	c := wire.Dial(t, r.server.Addr)
	c.Submit(codec.SubmitJobBg, "x", "", "x")
	for path, status := range map[string]int{
		"functions/../server": 404, "functions/./x": 404, "functions//x": 404, "functions/x/": 404, "functions/": 404, "jobs//explain": 404,
		"functions//jobs": 405, "../v1/server": 404,
	} {
		if p := r.fails("GET", path, nil, nil); p.Status != status {
			t.Errorf("%s: %+v", path, p)
		}
	}
}

// TestNamesInPaths: the paths in which a name stands percent-encoded lead to it, too.
func TestNamesInPaths(t *testing.T) {
	r := newRig(t)
	c := wire.Dial(t, r.server.Addr)
	for _, name := range strangeNames {
		c.Submit(codec.SubmitJobBg, name, "", "x")
		for _, path := range []string{
			"functions/" + strings.ReplaceAll(url.PathEscape(name), ".", "%2E"), "functions/-?" + url.Values{"name": {name}}.Encode(),
		} {
			if f := get[api.Function](r, path, nil); api.Join(f.Name, f.NameBase64) != name {
				t.Errorf("%s is %q", path, api.Join(f.Name, f.NameBase64))
			}
		}
	}
	for path, status := range map[string]int{"functions/-?name=": 404, "functions/a%2Fb?name=x": 400, "jobs/-?name=x": 404, "functions?name=x": 400} {
		if p := r.fails("GET", path, nil, nil); p.Status != status {
			t.Errorf("%s: %+v", path, p)
		}
	}
}
