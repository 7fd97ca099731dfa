package browser

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"gearloop/test/await"
)

// TestPages checks every page, light and dark, wide and narrow: the console is empty, axe-core finds nothing
// serious, nothing exceeds the window's width, and the theme applies to all of it.
func TestPages(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.work(t)
	b := newTab(t, s.web)
	for _, theme := range []string{"light", "dark"} {
		b.theme(theme)
		for _, p := range s.pages() {
			b.open(p.path)
			b.do("wide", chromedp.EmulateViewport(1280, 900))
			for _, found := range b.inaccessible() {
				t.Errorf("%s, %s: %s", p.path, theme, found)
			}
			ground := eval[string](b, "getComputedStyle(document.documentElement).backgroundColor")
			if want := map[string]string{"light": "rgb(246, 247, 246)", "dark": "rgb(15, 21, 19)"}[theme]; ground != want {
				t.Errorf("%s, %s: the ground is %s, want %s", p.path, theme, ground, want)
			}
			if title := eval[string](b, "document.title"); title == "" || eval[int](b, `document.querySelectorAll("h1").length`) != 1 {
				t.Errorf("%s: title %q, and not one heading", p.path, title)
			}
			for _, width := range []int64{1280, 400, 320} {
				b.do("narrow", chromedp.EmulateViewport(width, 900))
				b.until(fmt.Sprintf("innerWidth == %d && document.documentElement.scrollWidth <= %d", width, width))
				b.picture(fmt.Sprintf("%s-%s-%d", p.name, theme, width))
			}
			for _, problem := range b.taken() {
				t.Errorf("%s, %s: %s", p.path, theme, problem)
			}
		}
	}
}

// TestFindsProblems checks the checks: each fault that the tests look for is found on a page that has it.
func TestFindsProblems(t *testing.T) {
	t.Parallel()
	s := newBroker(t)
	b := newTab(t, s.web)
	for part, does := range map[string]string{
		"Content Security Policy": `(() => { const s = document.createElement("script"); s.textContent = "1"; document.body.append(s); return true; })()`,
		"status of 404":           `fetch("./functions/none").then(() => true)`,
		"told by the console":     `console.error("told by the console") || true`,
		"thrown":                  `setTimeout(() => { throw new Error("thrown"); }) > 0`,
	} {
		b.open("/")
		eval[bool](b, does)
		await.Until(t, part, func() bool { return strings.Contains(strings.Join(b.taken(), "\n"), part) })
	}
	eval[bool](b, `(() => { document.body.innerHTML = "<img src='static/x'><button></button>"; return true; })()`)
	if found := strings.Join(b.inaccessible(), "\n"); !strings.Contains(found, "image-alt") || !strings.Contains(found, "button-name") {
		t.Errorf("axe-core finds %q", found)
	}
	await.Until(t, "the picture is not there", func() bool { return strings.Contains(strings.Join(b.taken(), "\n"), "status of 404") })
}
