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

	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// desk is a broker with its dashboard, as a browser has it that carries a token.
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
	for _, a := range d.server.Addrs {
		if strings.HasPrefix(a, "http://") {
			d.web = a
		}
	}
	return d
}

// do sends a request and returns the page that a browser ends up with.
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

// wants fails the test unless the page holds each of some texts.
func (d *desk) wants(path string, texts ...string) {
	d.t.Helper()
	status, page := d.do(http.MethodGet, path)
	for _, text := range texts {
		if status != http.StatusOK || !strings.Contains(page, html.EscapeString(text)) {
			d.t.Errorf("%s: status %d, no %q in\n%s", path, status, text, page)
		}
	}
}

// press presses a button and fails the test unless the page that comes then says so.
func (d *desk) press(path, says string, fields ...string) {
	d.t.Helper()
	status, page := d.do(http.MethodPost, path, fields...)
	notice := regexp.MustCompile(`<p class="note[^>]*>([^<]*)</p>`).FindStringSubmatch(page)
	if status != http.StatusOK || notice == nil || !strings.Contains(html.UnescapeString(notice[1]), says) {
		d.t.Errorf("%s %q: status %d, says %q, want %q\n%s", path, fields, status, notice, says, page)
	}
}

// TestSettings: pausing and closing by buttons; every page that shows the function says by whom, since and until when.
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

// TestActionsNeedTheRole: what changes something is offered to and done for operators alone, and for nobody on a server
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
				"/jobs/" + job + "/cancel", "/workers/999/disconnect",
			} {
				status, body := d.do(http.MethodPost, path)
				if (status == http.StatusOK) != may || !may && status != http.StatusForbidden {
					t.Errorf("%s, %v: %s has status %d\n%s", role, args, path, status, body)
				}
				if status, _ := d.do(http.MethodGet, path); status == http.StatusOK {
					t.Errorf("%s: GET %s does something", role, path)
				}
			}
		}
	}
}
