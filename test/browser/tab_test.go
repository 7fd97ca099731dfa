package browser

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	goruntime "runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"gearloop/test/await"
)

// program is the browser that all tests of the package share. Each test has a profile of its own in it.
var program struct {
	ctx  context.Context
	axe  string // the source of axe-core
	fail error
}

func TestMain(m *testing.M) {
	// Tests wait for the broker's seconds more than they compute.
	if err := flag.Set("test.parallel", strconv.Itoa(max(4, 2*goruntime.GOMAXPROCS(0)))); err != nil {
		panic(err) // package testing has the flag
	}
	code := func() int {
		dir, err := os.MkdirTemp("", "gearloop-browser-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		end := start(dir)
		defer end()
		return m.Run()
	}()
	os.Exit(code)
}

// start starts the browser. An error fails the first test that opens a tab.
func start(dir string) (end func()) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		program.fail = fmt.Errorf("no chromium in PATH; it is Debian's package chromium (run make test-deps): %w", err)
		return func() {}
	}
	axe, err := os.ReadFile("testdata/axe/node_modules/axe-core/axe.min.js")
	if err != nil {
		program.fail = fmt.Errorf("axe-core is not installed (run make test-deps): %w", err)
		return func() {}
	}
	program.axe = string(axe)
	opts := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.UserDataDir(dir), chromedp.WindowSize(1280, 900)}
	for _, flag := range []string{
		"headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
		"disable-component-update", "disable-sync", "no-default-browser-check", "disable-dev-shm-usage", "disable-extensions",
		"disable-background-timer-throttling", "disable-renderer-backgrounding", "hide-scrollbars",
		"allow-pre-commit-input", // else keys before a page's first frame are lost
	} {
		opts = append(opts, chromedp.Flag(flag, true))
	}
	allocator, endAllocator := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, cancel := chromedp.NewContext(allocator)
	if program.fail = chromedp.Do(ctx, chromedp.Navigate("about:blank")); program.fail == nil {
		program.ctx = ctx
	}
	return func() { cancel(); endAllocator() }
}

// tab is a tab of the browser. It collects the problems that occur in it.
type tab struct {
	t    *testing.T
	ctx  context.Context
	root string // address of the dashboard, without the slash at its end

	mu       sync.Mutex
	problems []string
	expected []string // parts of problems that the test asks for
}

// newTab opens a tab in a profile of its own. At its end the test fails for each problem that was not
// expected.
func newTab(t *testing.T, root string) *tab {
	t.Helper()
	if program.fail != nil {
		t.Fatal(program.fail)
	}
	b := &tab{t: t, root: strings.TrimSuffix(root, "/")}
	ctx, cancel := chromedp.NewContext(program.ctx, chromedp.WithNewBrowserContext())
	b.ctx = ctx
	t.Cleanup(func() {
		cancel()
		for _, p := range b.taken() {
			t.Error(p)
		}
	})
	// The tab's context opens it, because the tab lives no longer than the context does.
	limit := time.AfterFunc(await.Limit, cancel)
	defer limit.Stop()
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	return b
}

// step returns the context of one step in the tab.
func (b *tab) step() (context.Context, context.CancelFunc) {
	return context.WithTimeout(b.ctx, await.Limit)
}

// hear records messages of the browser's console.
func (b *tab) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning || e.Entry.Source == log.EntrySourceSecurity {
			b.problems = append(b.problems, fmt.Sprintf("%s: %s: %s", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		}
	case *runtime.EventExceptionThrown:
		d := e.ExceptionDetails
		text := d.Text
		if d.Exception != nil {
			text += " " + d.Exception.Description
		}
		b.problems = append(b.problems, "exception: "+text)
	case *runtime.EventConsoleAPICalled:
		switch e.Type {
		case runtime.ConsoleAPICalledTypeError, runtime.ConsoleAPICalledTypeWarning, runtime.ConsoleAPICalledTypeAssert:
			text, _ := json.Marshal(e.Args)
			b.problems = append(b.problems, "console: "+string(text))
		}
	}
}

// expect declares that problems which contain part do not fail the test.
func (b *tab) expect(part string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expected = append(b.expected, part)
}

// taken returns the unexpected problems so far and clears the list.
func (b *tab) taken() (all []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
next:
	for _, p := range b.problems {
		for _, part := range b.expected {
			if strings.Contains(p, part) {
				continue next
			}
		}
		all = append(all, p)
	}
	b.problems = nil
	return all
}

func (b *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, end := b.step()
	defer end()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// open opens a page by its path.
func (b *tab) open(path string) {
	b.t.Helper()
	b.do(path, chromedp.Navigate(b.root+path))
}

// eval returns the value of an expression in the page, which may be a promise.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, end := b.step()
	defer end()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%.300s: %v", expression, err)
	}
	return v
}

// until waits until an expression is true in the page, even if another page is loaded meanwhile.
func (b *tab) until(expression string) {
	b.t.Helper()
	var last error
	await.UntilSaid(b.t, func() bool {
		ctx, end := b.step()
		defer end()
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
		last = err
		return err == nil && ok
	}, func() string {
		ctx, end := b.step()
		defer end()
		text, _ := chromedp.Run(ctx, chromedp.Evaluate[string]("location.href + '\\n' + document.body.innerText"))
		return fmt.Sprintf("%s: %v; the page is\n%.3000s", expression, last, text)
	})
}

// sees waits until the page contains a text.
func (b *tab) sees(text string) {
	b.t.Helper()
	b.until("document.body.innerText.includes(" + quoted(text) + ")")
}

// here returns the path, query and fragment of the page.
func (b *tab) here() string {
	return strings.TrimPrefix(eval[string](b, "location.href"), b.root)
}

// press clicks the button, link or summary with this text.
func (b *tab) press(text string) {
	b.t.Helper()
	find := `[...document.querySelectorAll("button, a, summary")].find((e) => e.textContent.trim() === ` + quoted(text) + ` && e.checkVisibility())`
	b.until(find)
	eval[bool](b, find+".click() || true")
}

// fill fills in a field.
func (b *tab) fill(selector, value string) {
	b.t.Helper()
	eval[bool](b, `(() => {
		const field = [...document.querySelectorAll(`+quoted(selector)+`)].find((e) => e.checkVisibility());
		field.value = `+quoted(value)+`;
		return field.dispatchEvent(new Event("input", { bubbles: true }));
	})()`)
}

// keys presses keys: letters, \r, \t and Escape.
func (b *tab) keys(text string) {
	b.t.Helper()
	ctx, end := b.step()
	defer end()
	named := map[rune]string{'\r': "Enter", '\t': "Tab", '\u001b': "Escape"}
	for _, r := range text {
		down := input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Key: string(r), Text: string(r)}
		if name := named[r]; name != "" {
			down.Key, down.Code = name, name
			down.WindowsVirtualKeyCode = int64(r)
			if r != '\r' {
				down.Text = ""
			}
		}
		up := input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyUp, Key: down.Key, Code: down.Code}
		for _, event := range []input.DispatchKeyEventParams{down, up} {
			if _, err := chromedp.Call(ctx, input.DispatchKeyEvent, event); err != nil {
				b.t.Fatalf("%q: %v", r, err)
			}
		}
	}
}

// login submits a token.
func (b *tab) login(token string) {
	b.t.Helper()
	b.open("/login")
	b.fill(`input[name="token"]`, token)
	eval[bool](b, `document.querySelector("main button.main").click() || true`)
}

// theme sets the colour scheme of the browser's system to light or dark.
func (b *tab) theme(name string) {
	b.t.Helper()
	ctx, end := b.step()
	defer end()
	_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}, {Name: "prefers-reduced-motion", Value: "reduce"}},
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// inaccessible returns what axe-core calls serious or critical on the page, by all of its rules.
func (b *tab) inaccessible() []string {
	b.t.Helper()
	return b.axe()
}

// axe does the same by some of its rules only, by all if none is named.
func (b *tab) axe(rules ...string) []string {
	b.t.Helper()
	only, err := json.Marshal(append([]string{}, rules...))
	if err != nil {
		b.t.Fatal(err)
	}
	if eval[string](b, "typeof axe") == "undefined" {
		eval[bool](b, program.axe+"; true")
	}
	return eval[[]string](b, `axe.run(document, { resultTypes: ["violations"], ...(`+string(only)+`.length ? { runOnly: `+string(only)+` } : {}) }).then((r) => r.violations
		.filter((v) => v.impact === "serious" || v.impact === "critical")
		.map((v) => v.impact + " " + v.id + ": " + v.nodes.map((n) => n.html + " " + n.failureSummary).join("; ")))`)
}

func quoted(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string always has a form
	}
	return string(b)
}
