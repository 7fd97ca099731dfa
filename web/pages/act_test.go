package pages_test

import (
	"crypto/sha256"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gearloop/api"
	"gearloop/codec"
	"gearloop/internal/monitor"
	"gearloop/test/await"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// desk is a broker with its dashboard, and a browser that has a token.
type desk struct {
	t      *testing.T
	server *peers.Server
	web    string
	token  string
}

func newDesk(t *testing.T, args ...string) *desk {
	t.Helper()
	d := &desk{t: t}
	d.server = peers.Start(t, peers.Gearloop, append([]string{"--web", "127.0.0.1:0"}, args...)...)
	d.web = d.server.Web()
	return d
}

// do sends a request, follows redirects as a browser does, and returns the last page.
func (d *desk) do(method, path string, fields ...string) (status int, page string) {
	d.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	req, err := http.NewRequest(method, d.web+path, strings.NewReader(form.Encode()))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "text/html")
	if d.token != "" {
		req.Header.Set("Authorization", "Bearer "+d.token)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport, Timeout: await.Limit}).Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// wants waits until a page contains all of these texts. Lists are up to a second old.
func (d *desk) wants(path string, texts ...string) {
	d.t.Helper()
	var status int
	var page, missing string
	await.UntilSaid(d.t, func() bool {
		status, page = d.do(http.MethodGet, path)
		for _, missing = range texts {
			if status != http.StatusOK || !strings.Contains(html.UnescapeString(page), missing) {
				return false
			}
		}
		return true
	}, func() string { return fmt.Sprintf("%s: status %d, no %q in\n%s", path, status, missing, page) })
}

// press submits a form and fails the test unless the next page contains a text.
func (d *desk) press(path, says string, fields ...string) {
	d.t.Helper()
	status, page := d.do(http.MethodPost, path, fields...)
	notice := regexp.MustCompile(`<p class="note[^>]*>([^<]*)</p>`).FindStringSubmatch(page)
	if status != http.StatusOK || notice == nil || !strings.Contains(html.UnescapeString(notice[1]), says) {
		d.t.Errorf("%s %q: status %d, says %q, want %q\n%s", path, fields, status, notice, says, page)
	}
}

// TestSettings pauses and closes functions with the buttons. Every page that shows the function says who did
// it, since when and until when.
func TestSettings(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	c, w := wire.Dial(t, d.server.Addr), wire.Dial(t, d.server.Addr)
	w.Send(codec.CanDo, "a/b <i>")
	job := c.Submit(codec.SubmitJobBg, "a/b <i>", "", "x")
	const at = "/functions/a%2Fb%20%3Ci%3E"
	d.wants(at, "Stop handing out its jobs", "A restart ends it")
	d.press(at+"/pause", "No job of the function is handed out any more.", "reason", "db <down>", "for", "2h")
	w.Send(codec.GrabJob)
	w.WantType(codec.NoJob)
	d.wants(at, "paused", "by 127.0.0.1", ", until 2", "db <down>", "Hand out its jobs again")
	d.wants("/functions", "paused", "by 127.0.0.1")
	d.wants("/functions?only=paused", "a/b <i>")
	d.wants("/", "a/b <i>: paused by 127.0.0.1", "1 job waits (db <down>)", "resume")
	d.wants("/jobs/"+url.PathEscape(job), "paused", "db <down>")
	d.press(at+"/close", "Submissions to the function are refused.")
	c.Send(codec.SubmitJobBg, "a/b <i>", "", "y")
	c.WantType(codec.Error)
	d.wants(at, "closed", "until somebody ends it", "Take new jobs again")
	d.wants("/", "a/b <i>: closed for submissions by 127.0.0.1")
	d.press(at+"/open", "Submissions to the function are taken again.")
	d.press(at+"/open", "The function was not closed.")
	c.Submit(codec.SubmitJobBg, "a/b <i>", "", "y")
	d.press(at+"/resume", "Jobs of the function are handed out again.")
	d.press(at+"/resume", "The function was not paused.")
	w.Grab()
	d.wants("/", "Nothing needs attention.")
	for _, length := range []string{"x", "-1h", "0s", "1e9h", "99999d"} {
		d.press(at+"/pause", "“for how long” is", "for", length)
	}
	d.wants(at, "Stop handing out its jobs")
	d.wants("/?done=forged&sign=x", "Nothing needs attention.")
	if _, page := d.do(http.MethodGet, "/?done=forged&sign=x"); strings.Contains(page, "forged") {
		t.Error("words of a link stand on the page")
	}
}

// TestActionsNeedTheRole: only operators are offered actions and can perform them, and nobody can on a server
// that is read-only.
func TestActionsNeedTheRole(t *testing.T) {
	t.Parallel()
	tokens := filepath.Join(t.TempDir(), "tokens")
	text := ""
	for _, role := range []string{"viewer", "reader", "operator"} {
		text += fmt.Sprintf("%s %s sha256:%x\n", role, role, sha256.Sum256([]byte(role)))
	}
	if err := os.WriteFile(tokens, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{nil, {"--web-read-only"}} {
		d := newDesk(t, append(args, "--web-tokens", tokens)...)
		c := wire.Dial(t, d.server.Addr)
		for _, role := range []string{"viewer", "reader", "operator"} {
			d.token = role
			may := role == "operator" && args == nil
			job := url.PathEscape(c.Submit(codec.SubmitJobBg, "f", "", "x"))
			for _, page := range []string{"/", "/functions/f", "/jobs/" + job, "/workers"} {
				if _, body := d.do(http.MethodGet, page); !may && strings.Contains(body, `method="post"`) {
					t.Errorf("%s, %v: %s offers an action", role, args, page)
				}
			}
			for _, path := range []string{
				"/functions/f/pause", "/functions/f/resume", "/functions/f/close", "/functions/f/open", "/functions/f/submit",
				"/functions/f/purge", "/jobs/" + job + "/front", "/jobs/" + job + "/priority", "/jobs/" + job + "/take-back", "/jobs/" + job + "/give-up",
				"/bulk", "/jobs/" + job + "/cancel", "/operations/x/stop", "/workers/999/disconnect",
			} {
				status, body := d.do(http.MethodPost, path)
				if (status == http.StatusForbidden) == may {
					t.Errorf("%s, %v: %s has status %d\n%s", role, args, path, status, body)
				}
				if status, _ := d.do(http.MethodGet, "/operations"); (status == http.StatusOK) != (role != "viewer") {
					t.Errorf("%s: operations have status %d", role, status)
				}
				if status, _ := d.do(http.MethodGet, path); status == http.StatusOK {
					t.Errorf("%s: GET %s does something", role, path)
				}
			}
		}
	}
}

// fields returns the fields of the last form of a page, as a browser sends them.
func fields(page string) (all []string) {
	page = page[strings.LastIndex(page, "<form"):]
	for _, m := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		all = append(all, m[1], html.UnescapeString(m[2]))
	}
	return all
}

// TestJobActions: a waiting job is put in front, changes its priority and is cancelled. A running one is
// taken back and given up.
func TestJobActions(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	c, w := wire.Dial(t, d.server.Addr), wire.Dial(t, d.server.Addr)
	w.Send(codec.CanDo, "f")
	var jobs []string
	for i := range 4 {
		jobs = append(jobs, c.Submit(codec.SubmitJobBg, "f", "", fmt.Sprint(i)))
	}
	at := func(i int) string { return "/jobs/" + url.PathEscape(jobs[i]) }
	d.wants(at(3), "Put it in front", "Change its priority", "End it")
	d.press(at(3)+"/front", "The job is in front of all others of its priority.")
	d.press(at(2)+"/priority", "The job has priority high.", "priority", "high")
	d.press(at(2)+"/priority", "priority is \"urgent\"", "priority", "urgent")
	d.press(at(0)+"/take-back", "only running jobs can be taken back")
	for _, want := range []int{2, 3} {
		if got, _ := w.Grab(); got != jobs[want] {
			t.Errorf("%s is handed out, want %s", got, jobs[want])
		}
	}
	d.wants(at(2), "Fail it now", "it may run twice")
	d.press(at(2)+"/take-back", "The job is queued again, in front.")
	d.press(at(3)+"/give-up", "The job has failed.")
	d.press(at(0)+"/cancel", "The job has ended.")
	d.press(at(0)+"/cancel", "there is no job")
	if got, _ := w.Grab(); got != jobs[2] {
		t.Errorf("%s is handed out, want %s, which was taken back", got, jobs[2])
	}
}

// TestManyJobs: purge and actions on all matching jobs count first. They change no later job, and nothing
// without the number. For more than 100 jobs the number must be typed.
func TestManyJobs(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	c := wire.Dial(t, d.server.Addr)
	const at = "/functions/a*%2Fb"
	for range 3 {
		c.Submit(codec.SubmitJobBg, "a*/b", "", "x")
	}
	c.Submit(codec.SubmitJobBg, "aa/b", "", "x") // which the pattern a* would match
	d.wants(at, "Count the jobs that wait")
	status, page := d.do(http.MethodPost, at+"/purge", "reason", "<why>")
	if status != http.StatusOK || !strings.Contains(page, "3 jobs of a*/b wait.") || strings.Contains(page, "to confirm") {
		t.Fatalf("%d\n%s", status, page)
	}
	c.Submit(codec.SubmitJobBg, "a*/b", "", "later")
	d.press(at+"/purge", "3 jobs ended.", fields(page)...)
	d.wants(at, "<dt>waiting</dt><dd>1</dd>")
	d.wants("/functions/aa%2Fb", "<dt>waiting</dt><dd>1</dd>")

	for range 150 {
		c.Submit(codec.SubmitJobBg, "many", "", "x")
	}
	_, page = d.do(http.MethodPost, "/functions/many/purge")
	sent := fields(page)
	if !strings.Contains(page, "Type 150 to confirm") {
		t.Fatal(page)
	}
	d.press("/functions/many/purge", "not confirmed", sent...)
	d.press("/functions/many/purge", "149 was typed, but 150 jobs wait", append(sent, "confirm", "149")...)
	d.wants("/functions/many", "150")
	status, page = d.do(http.MethodPost, "/bulk", "function", "man?", "action", "priority", "to", "high")
	if sent = fields(page); status != http.StatusOK || !strings.Contains(page, "Type 150 to confirm") {
		t.Fatalf("%d\n%s", status, page)
	}
	if status, page := d.do(http.MethodPost, "/bulk", append(sent, "confirm", "1")...); status != http.StatusConflict {
		t.Errorf("%d\n%s", status, page)
	}
	if status, page := d.do(http.MethodPost, "/bulk", append(sent, "confirm", "150")...); status != http.StatusOK || !strings.Contains(page, "priority high") {
		t.Errorf("%d\n%s", status, page)
	}
	await.Until(t, "the operation is done", func() bool {
		_, page := d.do(http.MethodGet, "/operations")
		return strings.Contains(page, "done") && strings.Contains(page, `<td class="n">150</td><td class="n">150</td>`)
	})
	d.wants("/functions/many", "150 / 0 / 0")
	if status, _ := d.do(http.MethodPost, "/bulk", "action", "explode"); status != http.StatusBadRequest {
		t.Errorf("an action that is none: %d", status)
	}
}

// TestEveryNameIsReachable: over a real listener, the list links to the page of a function with any name, its
// buttons change only that function, and the paths of earlier versions still lead to it.
func TestEveryNameIsReachable(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	c := wire.Dial(t, d.server.Addr)
	names := []string{
		"/", "//", ".", "..", "./", "../", "a//b", "a/../b", "/a", "a/", "a%2Fb", "-", "--", "=", "=..", "=/", " ", "\u00a0", "\\", "\\..", "?", "#", "%",
		"%2e", "+", "&", ";", "a;b", "name=x", "?name=x", "\x01", "\x7f", "\xff", "functions", "pause",
	}
	for _, name := range names {
		c.Submit(codec.SubmitJobBg, name, "", "x")
	}
	_, list := d.do(http.MethodGet, "/functions")
	links := regexp.MustCompile(`<td class="name"><a href="([^"]*)"`).FindAllStringSubmatch(list, -1)
	if len(links) != len(names) {
		t.Fatalf("%d links to %d functions", len(links), len(names))
	}
	base, err := url.Parse(d.web + "/functions")
	if err != nil {
		t.Fatal(err)
	}
	titles := map[string]bool{}
	for _, m := range links {
		to, err := base.Parse(html.UnescapeString(m[1]))
		if err != nil {
			t.Fatal(err)
		}
		status, page := d.do(http.MethodGet, to.RequestURI())
		title := regexp.MustCompile(`<h1>([^<]*)</h1>`).FindStringSubmatch(page)
		if status != http.StatusOK || title == nil || titles[title[1]] {
			t.Errorf("%s leads to status %d, %q", m[1], status, title)
			continue
		}
		titles[title[1]] = true
	}
	for _, name := range names {
		d.press("/"+api.Path("functions", name, "pause"), "No job of the function is handed out any more.")
		if status, page := d.do(http.MethodGet, "/"+api.Path("functions", name)); !strings.Contains(page, "Hand out its jobs again") {
			t.Errorf("%q: status %d, and it is not paused", name, status)
		}
	}
	await.Until(t, "each is paused", func() bool {
		_, page := d.do(http.MethodGet, "/functions?only=paused")
		return strings.Count(page, `<td class="name">`) == len(names)
	})
	for path, name := range map[string]string{
		"/functions/%2F": "/", "/functions/%2f": "/", "/functions/%2F%2F": "//", "/functions/a%2F%2Fb": "a//b", "/functions/=.": ".", "/functions/=..": "..",
		"/functions/==..": "=..", "/functions/==": "=", "/functions/a%252Fb": "a%2Fb", "/functions/-": "-", "/functions/-?name=-": "-",
		"/functions/%5C": "\\", "/functions/-?name=%2F": "/",
	} {
		status, page := d.do(http.MethodGet, path)
		if status != http.StatusOK || !strings.Contains(html.UnescapeString(page), "<h1>"+monitor.Printable(name)+"</h1>") {
			t.Errorf("%s leads to status %d, and not to %q", path, status, name)
		}
	}
}
