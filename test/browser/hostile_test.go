package browser

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"gearloop/api"
	"gearloop/codec"
	"gearloop/test/wire"
)

// hostile are functions, unique ids, arguments and client ids that an attacker may choose. Those with a LF
// come from the web only, because nothing can be submitted to them. No name holds a NUL.
var hostile = []string{
	`<script>document.title = "owned"</script>`, `"><img src=x onerror='document.title = "owned"'>`, `' autofocus onfocus='document.title="owned"`,
	"line\nof <b>two</b>", "tab\tand \x01\x1b[31m", "\u202egnp.exe\u2066", "a/b?c#d&e=f;g %2e%2e", "..", ".", "=..", "/", "a//b", "a/../c", "-", "\\", "%2F", "javascript:document.title='owned'",
	"\xff\xfe not text", "{{.}} ${1} </main></body>", strings.Repeat("long", 128), "\u00a0", "größe 大 👩‍👩‍👧",
}

// wantsHere checks that no name has become more than text on the page at path, which is open.
func (b *tab) wantsHere(path, heading string) {
	b.t.Helper()
	if title := eval[string](b, "document.title"); strings.Contains(title, "owned") && !strings.Contains(title, "document.title") {
		b.t.Errorf("%s: a name has run", path)
	}
	if n := eval[int](b, `document.querySelectorAll("main, h1, #live").length`); n < 2 || n > 3 {
		b.t.Errorf("%s: %d of what there is once", path, n)
	}
	if n := eval[int](b, `document.querySelectorAll("main script, main img, main b, main [onfocus], main [style]:not(.chart *)").length`); n != 0 && path != "/" {
		b.t.Errorf("%s: %d elements of a name", path, n)
	}
	if wide := eval[int](b, "document.documentElement.scrollWidth - innerWidth"); wide > 0 {
		b.t.Errorf("%s: %d pixels too wide", path, wide)
	}
	if got := eval[string](b, `document.querySelector("h1").textContent`); heading != "" && got != heading {
		b.t.Errorf("%s: the heading is %q, want %q", path, got, heading)
	}
}

// wants opens a page and does the same.
func (b *tab) wants(path, heading string) {
	b.t.Helper()
	b.open(path)
	b.wantsHere(path, heading)
}

// TestHostile: every name, id and argument is text on every page. It runs nothing, hides nothing, and breaks
// no layout. Its links lead to its page, and each action applies to it.
func TestHostile(t *testing.T) {
	t.Parallel()
	s := newBroker(t)
	b := newTab(t, s.web)
	handles := map[string]string{}
	for i, name := range hostile {
		w := wire.Dial(t, s.server.Addr)
		if !strings.ContainsAny(name, " \n\t") {
			w.Send(codec.SetClientID, name)
		}
		if i%2 == 0 && !strings.ContainsAny(name, "\n") {
			w.Send(codec.CanDo, name)
		}
		w.Send(codec.PreSleep)
		w.Sync()
		if strings.ContainsAny(name, "\n") {
			s.post(api.Path("functions", name, "close"), api.Pause{Reason: name})
			continue
		}
		handles[name] = s.client.Submit(codec.SubmitJobBg, name, "id "+name, name+"\n"+name)
	}
	for _, path := range []string{"/", "/functions", "/jobs", "/workers", "/workers?only=all", "/system"} {
		b.wants(path, "")
	}
	b.open("/functions")
	b.until(fmt.Sprintf(`document.querySelectorAll("td.name a").length === %d`, len(hostile)))
	links := eval[[]string](b, `[...document.querySelectorAll("td.name a")].map((a) => a.getAttribute("href"))`)
	headings := map[string]bool{}
	for _, h := range eval[[]string](b, `Promise.all([...document.querySelectorAll("td.name a")].map((a) => fetch(a.href).then((r) => r.text())
		.then((text) => new DOMParser().parseFromString(text, "text/html").querySelector("h1").textContent)))`) {
		headings[h] = true
	}
	if len(links) != len(hostile) || len(headings) != len(hostile) {
		t.Errorf("%d links lead to %d pages of %d functions", len(links), len(headings), len(hostile))
	}
	t.Run("names", func(t *testing.T) {
		for part := range 2 { // side by side, as each waits for the browser most of the time
			t.Run(fmt.Sprint("part ", part), func(t *testing.T) {
				t.Parallel()
				b := newTab(t, s.web)
				for i := part; i < len(hostile); i += 2 {
					name := hostile[i]
					if handles[name] != "" {
						b.wants("/jobs/"+url.PathEscape(handles[name]), handles[name])
					}
					b.open("/find?q=" + url.QueryEscape(name))
					at := b.here()
					b.wantsHere(at, "")
					b.press("Pause…")
					b.fill(`input[name="reason"]`, strings.ToValidUTF8(name, "?"))
					b.press("Stop handing out its jobs")
					b.sees("No job of the function is handed out any more.")
					b.wantsHere(at, "")
				}
			})
		}
	})
	b.wants("/", "")
	b.wants("/functions?only=paused", "")
	b.until(fmt.Sprintf(`document.querySelectorAll("tbody tr").length === %d`, len(hostile))) // the list is up to a second old
}

// TestLargeArgument: a page shows the beginning of an argument of 5 MB and stays small. The whole argument
// can be downloaded, and one can be submitted.
func TestLargeArgument(t *testing.T) {
	t.Parallel()
	s := newBroker(t)
	b := newTab(t, s.web)
	argument := strings.Repeat("0123456789abcde\n", 5<<20/16)
	handle := s.client.Submit(codec.SubmitJobBg, "large", "", argument)
	b.open("/jobs/" + url.PathEscape(handle))
	b.sees("The first 4.0 KiB of 5.0 MiB.")
	if n := eval[int](b, "document.documentElement.outerHTML.length"); n > 30<<10 {
		t.Errorf("the page has %d letters", n)
	}
	if n := eval[int](b, `fetch([...document.querySelectorAll("a")].find((a) => a.textContent === "Download all of it").href).then((r) => r.blob()).then((b) => b.size)`); n != len(argument) {
		t.Errorf("%d bytes are downloaded, want %d", n, len(argument))
	}
	b.open("/functions/large")
	b.press("Submit a job…")
	eval[bool](b, fmt.Sprintf(`(document.querySelector("textarea").value = "é".repeat(%d)) && true`, 5<<20/2))
	b.press("Submit a background job")
	b.sees("The job is H:")
	w := wire.Dial(t, s.server.Addr)
	w.Send(codec.CanDo, "large")
	w.Grab()
	if _, got := w.Grab(); got != strings.Repeat("é", 5<<20/2) {
		t.Errorf("the job has %d bytes", len(got))
	}
}
