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
	pages := s.pages()
	for part := range 2 { // side by side, as each waits for the browser most of the time
		t.Run(fmt.Sprint("part ", part), func(t *testing.T) {
			t.Parallel()
			b := newTab(t, s.web)
			for i := part; i < len(pages); i += 2 {
				b.check(pages[i])
			}
		})
	}
}

// check opens a page and looks at it in both themes and in all widths.
func (b *tab) check(p page) {
	b.t.Helper()
	grounds := map[string]string{"light": "rgb(246, 247, 246)", "dark": "rgb(15, 21, 19)"}
	b.do("wide", chromedp.EmulateViewport(1280, 900))
	b.open(p.path)
	if title := eval[string](b, "document.title"); title == "" || eval[int](b, `document.querySelectorAll("h1").length`) != 1 {
		b.t.Errorf("%s: title %q, and not one heading", p.path, title)
	}
	for _, theme := range []string{"light", "dark"} {
		b.theme(theme)
		b.until("getComputedStyle(document.documentElement).backgroundColor === " + quoted(grounds[theme]))
		rules := []string{} // all of them
		if theme == "dark" {
			rules = append(rules, "color-contrast") // the only one that a theme matters to
		}
		for _, found := range b.axe(rules...) {
			b.t.Errorf("%s, %s: %s", p.path, theme, found)
		}
		b.pictures(p.name, theme)
	}
	for _, width := range []int64{400, 320} {
		b.do("narrow", chromedp.EmulateViewport(width, 900))
		b.until(fmt.Sprintf("innerWidth == %d && document.documentElement.scrollWidth <= %d", width, width))
	}
	for _, problem := range b.taken() {
		b.t.Errorf("%s: %s", p.path, problem)
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
