package browser

import (
	"net/url"
	"strings"
	"testing"
)

// TestJobPage: links show a job's argument as text, JSON and hexadecimal. Its command can be copied, even
// without a clipboard (plain HTTP has none), and names the address that the browser uses.
func TestJobPage(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b := newTab(t, s.web)
	b.open("/jobs/" + url.PathEscape(s.waiting))
	b.sees("place 18 of 18, normal priority")
	b.sees("user:4717:welcome")
	b.press("json")
	b.until(`document.querySelector("pre.argument").textContent === ` + quoted("{\n  \"to\": \"anna@example.org\",\n  \"template\": \"welcome\"\n}"))
	b.press("hex")
	b.sees("7b 22 74 6f")
	want := "curl -sS --fail-with-body '" + b.root + "/api/v1/jobs/" + url.PathEscape(s.waiting) + "'"
	b.until(`document.querySelector("code[data-base]").textContent === ` + quoted(want))
	b.press("Pause") // the page stays as it is
	eval[bool](b, `(() => {
		Object.defineProperty(navigator, "clipboard", { value: undefined });
		document.addEventListener("copy", () => { window.copied = document.activeElement.value; });
		document.querySelector("button.copy").focus();
		return true;
	})()`)
	b.keys("\r")
	b.sees("copied")
	if got := eval[string](b, "window.copied"); got != want {
		t.Errorf("%q is copied, want %q", got, want)
	}
	b.open("/functions/mail.send?tab=next")
	if got := eval[string](b, `document.querySelector("#list tbody tr").innerText`); !strings.HasPrefix(strings.TrimSpace(got), "1\t") {
		t.Errorf("the first row is %q", got)
	}
	b.press("running 0")
	b.sees("No job is running.")
	b.press("workers 0")
	b.sees("No worker is connected that can do it.")
}
