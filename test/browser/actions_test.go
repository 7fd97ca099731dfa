package browser

import (
	"crypto/sha256"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/wire"
)

// TestActions presses each button of the dashboard. The broker must do what the button says, and the page
// must report it.
func TestActions(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b := newTab(t, s.web)
	actions(t, s, b, b.inaccessible)
}

// actions performs every action once, in a tab with or without JavaScript.
func actions(t *testing.T, s *scene, b *tab, inaccessible func() []string) {
	b.open("/functions/mail.send")
	b.press("Pause…")
	for _, found := range inaccessible() {
		t.Error(found)
	}
	b.fill(`input[name="for"]`, "2h")
	b.fill(`input[name="reason"]`, "a <b>test</b>")
	b.press("Stop handing out its jobs")
	b.sees("No job of the function is handed out any more.")
	if f := s.function("mail.send"); f.Paused == nil || f.Paused.Reason != "a <b>test</b>" || f.Paused.Until == nil {
		t.Errorf("paused: %+v", f.Paused)
	}
	b.sees("a <b>test</b>")
	for _, found := range inaccessible() {
		t.Error(found)
	}
	b.open("/")
	b.sees("mail.send: paused by 127.0.0.1")
	b.open("/functions/mail.send")
	b.press("Resume…")
	b.press("Hand out its jobs again")
	b.sees("Jobs of the function are handed out again.")
	if f := s.function("mail.send"); f.Paused != nil {
		t.Errorf("resumed: %+v", f.Paused)
	}
	b.press("Close…")
	b.press("Refuse new jobs")
	b.sees("Submissions to the function are refused.")
	c := wire.Dial(t, s.server.Addr)
	c.Send(codec.SubmitJobBg, "mail.send", "", "x")
	c.WantType(codec.Error)
	b.press("Open…")
	b.press("Take new jobs again")
	b.sees("Submissions to the function are taken again.")
	c.Submit(codec.SubmitJobBg, "mail.send", "", "x")

	b.press("Submit a job…")
	b.fill(`textarea[name="argument"]`, "größe <i>\n大")
	b.fill(`input[name="unique"]`, "by hand")
	b.press("Submit a background job")
	b.sees("The job is H:")
	b.fill(`input[name="q"]`, "by hand")
	b.keys("\r")
	w := wire.Dial(t, s.server.Addr)
	w.Send(codec.CanDo, "mail.send")
	found := false
	for range s.function("mail.send").Waiting {
		w.Send(codec.GrabJob)
		job := w.WantType(codec.JobAssign).Args(3)
		found = found || strings.ReplaceAll(job[2], "\r\n", "\n") == "größe <i>\n大"
		w.Send(codec.WorkComplete, job[0], "")
	}
	if !found {
		t.Error("the job that was submitted is not there")
	}

	b.open("/jobs/" + url.PathEscape(s.paused))
	b.press("Cancel…")
	b.press("End it")
	b.sees("The job has ended.")
	if !strings.HasPrefix(b.here(), "/jobs") || s.has(s.paused) {
		t.Errorf("cancelled, and at %s", b.here())
	}
	b.open("/functions/invoice.pdf")
	b.press("Purge…")
	b.press("Count the jobs that wait")
	b.sees("5 jobs of invoice.pdf wait.")
	for _, found := range inaccessible() {
		t.Error(found)
	}
	b.press("Do nothing")
	b.until(`document.title.startsWith("invoice.pdf")`)
	last := s.jobs("invoice.pdf")
	b.open("/jobs/" + url.PathEscape(last[len(last)-1]))
	b.press("To the front…")
	b.press("Put it in front")
	b.sees("The job is in front of all others of its priority.")
	b.press("Priority…")
	b.fill(`select[name="priority"]`, "high")
	b.press("Change its priority")
	b.sees("The job has priority high.")
	b.open("/functions/invoice.pdf")
	b.press("Purge…")
	b.press("Count the jobs that wait")
	b.press("End 5 jobs")
	b.sees("5 jobs ended.")
	var many string
	for range 120 {
		many = c.Submit(codec.SubmitJobBg, "many", "", "x")
	}
	b.open("/jobs?function=many")
	b.press("Act on all that match…")
	b.press("Count them")
	b.sees("120 jobs match now.")
	for _, found := range inaccessible() {
		t.Error(found)
	}
	b.fill(`input[name="confirm"]`, "120")
	b.press("Do it with 120 jobs")
	b.sees("actions on many jobs")
	await.Until(t, "none is left", func() bool { return !s.has(many) })
	b.open("/operations")
	b.sees("done")
	for _, found := range inaccessible() {
		t.Error(found)
	}

	b.open("/jobs/" + url.PathEscape(s.running))
	b.press("Give up…")
	b.press("Fail it now")
	b.sees("The job has failed. Its worker goes on")
	b.open("/workers?match=img-2")
	b.press("Disconnect…")
	b.press("Close the connection")
	b.sees("The connection is closed.")
	await.Until(t, "three of four are left", func() bool { return s.function("thumb.crop").Workers == 3 })
}

// TestWithoutScript: without JavaScript every page can be read, links and forms work, and every action is
// possible.
func TestWithoutScript(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b := newTab(t, s.web)
	ctx, end := b.step()
	defer end()
	_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range s.pages() {
		b.open(p.path)
		if n := eval[int](b, "document.querySelector('main').innerText.length"); n < 20 {
			t.Errorf("%s: %d letters", p.path, n)
		}
	}
	if drawn := eval[int](b, `document.querySelectorAll("canvas").length`); drawn != 0 {
		t.Error("the script runs")
	}
	b.open("/")
	b.press("Functions")
	b.until(`location.pathname === "/functions"`)
	b.press("mail.send")
	b.until(`location.pathname === "/functions/mail.send"`)
	actions(t, s, b, func() []string { return nil }) // axe-core needs the script
}

// TestSession: a session begins with a token and ends with the button "Log out". A reader sees their role and
// no actions.
func TestSession(t *testing.T) {
	t.Parallel()
	tokens := filepath.Join(t.TempDir(), "tokens")
	text := fmt.Sprintf("anna operator sha256:%x\nrita reader sha256:%x\n", sha256.Sum256([]byte("secret")), sha256.Sum256([]byte("book")))
	if err := os.WriteFile(tokens, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newBroker(t, "--web-tokens", tokens)
	s.client.Submit(codec.SubmitJobBg, "f", "", "x")
	b := newTab(t, s.web)
	b.expect("status of 401")
	b.open("/functions/f")
	b.until(`location.pathname === "/login"`)
	b.login("wrong")
	b.sees("the token is not known here")
	for _, who := range [][]string{{"secret", "operator", "Pause…"}, {"book", "reader", ""}} {
		b.login(who[0])
		b.until(`location.pathname === "/"`)
		b.sees(who[1])
		b.open("/functions/f")
		if n := eval[int](b, `document.querySelectorAll("main form[method=post]").length`); n > 0 != (who[2] != "") {
			t.Errorf("%s is offered %d actions", who[1], n)
		}
		b.press("Log out")
		b.until(`location.pathname === "/login"`)
		b.open("/")
		b.until(`location.pathname === "/login"`)
	}
}

// TestKeyboard: "/" finds a handle, a unique id or a function; "g" and a letter open a page; the first Tab
// selects the link that skips the menu.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b := newTab(t, s.web)
	for find, to := range map[string]string{
		s.waiting: "/jobs/" + url.PathEscape(s.waiting), "user:4703:welcome": "/jobs?unique=" + url.QueryEscape("user:4703:welcome"),
		"mail.send": "/functions/mail.send", "thumb": "/functions?match=" + url.QueryEscape("*thumb*"),
	} {
		b.open("/workers")
		b.keys("/")
		b.until(`document.activeElement.name === "q"`)
		b.keys(find + "\r")
		b.until("location.href === " + quoted(b.root+to) + ` && document.readyState === "complete"`)
	}
	b.open("/workers") // "gf" must change the path
	for _, p := range []struct{ key, path string }{
		{"f", "/functions"}, {"j", "/jobs"}, {"w", "/workers"}, {"s", "/system"}, {"o", "/"},
	} {
		b.keys("g" + p.key)
		b.until("location.pathname === " + quoted(p.path) + ` && document.readyState === "complete"`)
	}
	b.keys("?")
	b.until(`document.getElementById("keys").checkVisibility()`)
	b.sees("to the functions")
	for _, found := range b.inaccessible() {
		t.Error(found)
	}
	b.keys("\u001b")
	b.until(`!document.getElementById("keys").checkVisibility()`)
	b.open("/functions")
	b.keys("\t")
	b.until(`document.activeElement.className === "skip"`)
	b.keys("\r")
	b.until(`location.hash === "#main"`)
}

// TestTheme: the theme follows the system until somebody presses the button. The choice is remembered.
func TestTheme(t *testing.T) {
	t.Parallel()
	s := newBroker(t)
	b := newTab(t, s.web)
	const ground, light, dark = "getComputedStyle(document.documentElement).backgroundColor === ", `"rgb(246, 247, 246)"`, `"rgb(15, 21, 19)"`
	b.theme("dark")
	b.open("/")
	b.until(ground + dark)
	eval[bool](b, `document.getElementById("theme").click() || true`)
	b.until(ground + light)
	b.open("/functions")
	b.until(ground + light)
	b.theme("light")
	eval[bool](b, `document.getElementById("theme").click() || true`)
	b.until(ground + dark)
}
