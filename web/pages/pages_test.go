package pages

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	nethtml "golang.org/x/net/html"

	"gearloop/api"
	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/httphost"
	"gearloop/internal/payload"
	"gearloop/internal/view"
	"gearloop/sched"
	"gearloop/test/await"
	"gearloop/web/guard"
)

// hostile are names of functions that an attacker may choose.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `a/b?c#d`, "..", ".", "=", "=..", "größe 大",
	"/", "//", "a//b", "a/../b", "/x", "-", " ", "\\", "%", "?", "#", "\t", "\u00a0", "+", ";", "&",
	"\xff\xfe", "\u202egnp.exe", strings.Repeat("long", 128), "{{.Who}}", "' onmouseover='alert(1)", "%2e%2e", "a b+c&d=e",
}

// rig is a scheduler with jobs, and its dashboard.
type rig struct {
	t       testing.TB
	sched   *sched.Sched
	handler http.Handler
	fx      sched.Effects
	client  sched.Peer
}

func newRig(t testing.TB, role guard.Role) *rig {
	t.Helper()
	return newRigAt(t, role, time.Now)
}

// newRigAt is newRig with a given clock.
func newRigAt(t testing.TB, role guard.Role, now func() time.Time) *rig {
	t.Helper()
	start := now()
	r := &rig{t: t, sched: sched.New(sched.Config{Dialect: dialect.Perl, HandlePrefix: "H:test", Start: start})}
	r.sched.Connect(&r.client)
	var p *Pages
	g := guard.New(guard.Config{
		Names: httphost.New(nil), Anonymous: role,
		Refuse: func(w http.ResponseWriter, q *http.Request, problem *api.Problem) { p.Refuse(w, q, problem) },
	})
	source := view.New(view.Config{Sched: r.sched, Version: "1", Dialect: "perl", Host: "test", Started: start, Now: now})
	p = New(Config{Source: source, Guard: g, Host: "test"})
	mux := http.NewServeMux()
	p.Mount(mux)
	r.handler = g.Wrap(mux)
	return r
}

// submit submits a background job and returns its handle.
func (r *rig) submit(function, unique, argument string) string {
	r.t.Helper()
	data := []byte(function + "\x00" + unique + "\x00" + argument)
	r.sched.Handle(&r.client, codec.SubmitJobBg, payload.Borrow(data), time.Now(), &r.fx)
	for i := range r.fx.Packets {
		if p := &r.fx.Packets[i]; p.Type == codec.JobCreated {
			handle := string(r.fx.Args(p))
			r.fx.Reset()
			return handle
		}
	}
	r.t.Fatalf("%q: no JOB_CREATED", function)
	return ""
}

// send sends a packet from a peer.
func (r *rig) send(p *sched.Peer, t codec.Type, args ...string) {
	r.t.Helper()
	r.sched.Handle(p, t, payload.Borrow([]byte(strings.Join(args, "\x00"))), time.Now(), &r.fx)
	for i := range r.fx.Packets {
		r.fx.Packets[i].Body.Release()
	}
	r.fx.Reset()
}

func (r *rig) get(path string) *httptest.ResponseRecorder {
	r.t.Helper()
	q := httptest.NewRequest(http.MethodGet, path, nil)
	q.Host = "localhost"
	q.Header.Set("Accept", "text/html")
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, q)
	return w
}

// TestHostileNames: every page shows every name as text, and links lead back to it.
func TestHostileNames(t *testing.T) {
	r := newRig(t, guard.Reader)
	handles := map[string]string{}
	for _, name := range hostile {
		handles[name] = r.submit(name, "id "+name, name)
	}
	paths := []string{"/", "/functions", "/jobs", "/workers", "/system", "/functions?match=*script*",
		"/jobs?function=" + url.QueryEscape(hostile[0])}
	for _, name := range hostile {
		paths = append(paths, "/functions/"+string(segment(name)), "/jobs/"+string(segment(handles[name])))
	}
	for _, path := range paths {
		w := r.get(path)
		body := w.Body.String()
		if w.Code != http.StatusOK {
			t.Errorf("%s: status %d: %s", path, w.Code, body)
			continue
		}
		wantOurs(t, path, body)
		if strings.ContainsAny(body, "\x00\u202e") || strings.Contains(body, "\xff") {
			t.Errorf("%s: a control character stands in the page", path)
		}
	}
	list := r.get("/functions").Body.String()
	for _, m := range regexp.MustCompile(`href="(functions/[^"]+)"`).FindAllStringSubmatch(list, -1) {
		if w := r.get("/" + html.UnescapeString(m[1])); w.Code != http.StatusOK {
			t.Errorf("the link %s leads to status %d", m[1], w.Code)
		}
	}
	for _, name := range hostile {
		to := r.get("/find?" + url.Values{"q": {name}}.Encode()).Header().Get("Location")
		if want := "./" + api.Path("functions", name); to != want {
			t.Errorf("%q is found at %s, want %s", name, to, want)
		}
	}
}

// wantOurs fails the test for what no page may contain: inline scripts, attributes with scripts, foreign
// pictures and links.
func wantOurs(t *testing.T, path, body string) {
	t.Helper()
	for z := nethtml.NewTokenizer(strings.NewReader(body)); z.Next() != nethtml.ErrorToken; {
		token := z.Token()
		if token.Type != nethtml.StartTagToken && token.Type != nethtml.SelfClosingTagToken {
			continue
		}
		ours := token.Data != "script"
		for _, a := range token.Attr {
			ours = ours || a.Key == "src"
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "src" && !strings.Contains(a.Val, "static/") {
				t.Errorf("%s: %v stands in the page", path, token)
			}
		}
		if !ours || token.Data == "style" || token.Data == "iframe" {
			t.Errorf("%s: %v stands in the page", path, token)
		}
	}
}

// TestProtected: no page may be framed, sniffed or made to run foreign scripts.
func TestProtected(t *testing.T) {
	r := newRig(t, guard.Reader)
	handle := r.submit("f", "", "x")
	inline := regexp.MustCompile(`(?i)\sstyle=|\son[a-z]+=|<style|<script(\s[^>]*)?>[^<]|javascript:|https?://`)
	for _, path := range []string{"/", "/functions", "/functions/f", "/jobs", "/jobs/" + handle, "/workers", "/system", "/login", "/functions/none"} {
		w := r.get(path)
		h := w.Header()
		if h.Get("Content-Security-Policy") != policy || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", path, h)
		}
		body := strings.ReplaceAll(w.Body.String(), "http://localhost/api/v1/", "") // in commands for the shell
		if found := inline.FindString(body); found != "" && !strings.HasSuffix(body[:strings.Index(body, found)], `data-base="`) {
			t.Errorf("%s: %q in the page", path, found)
		}
	}
}

// TestRelativeLinks: no link begins at the root of the host, so any proxy prefix works.
func TestRelativeLinks(t *testing.T) {
	r := newRig(t, guard.Reader)
	handle := r.submit("f", "", "x")
	link := regexp.MustCompile(`(?:href|src|action|hx-get)="([^"]*)"`)
	for _, path := range []string{"/", "/functions", "/functions/f", "/jobs", "/jobs/" + handle, "/workers", "/system", "/login"} {
		for _, m := range link.FindAllStringSubmatch(r.get(path).Body.String(), -1) {
			to := html.UnescapeString(m[1])
			base, _ := url.Parse("http://localhost/prefix" + path)
			u, err := base.Parse(to)
			if err != nil || strings.HasPrefix(to, "/") || !strings.HasPrefix(u.EscapedPath(), "/prefix/") {
				t.Errorf("%s: the link %q leads to %v, %v", path, to, u, err)
			}
		}
	}
}

// TestRoles: a viewer sees numbers and names of functions, a reader also jobs and their arguments. Without a
// role only the login page is shown.
func TestRoles(t *testing.T) {
	const secret = "secret argument"
	for role, want := range map[guard.Role]int{guard.Nobody: http.StatusSeeOther, guard.Viewer: 403, guard.Reader: 200, guard.Operator: 200} {
		r := newRig(t, role)
		handle := r.submit("f", "", secret)
		w := r.get("/jobs/" + handle)
		if w.Code != want || strings.Contains(w.Body.String(), secret) != (role >= guard.Reader) {
			t.Errorf("%v: %d, %.3000s", role, w.Code, w.Body)
		}
		raw := r.get("/jobs/" + handle + "/argument")
		if (raw.Code == http.StatusOK && raw.Body.String() == secret) != (role >= guard.Reader) {
			t.Errorf("%v: the argument: %d", role, raw.Code)
		}
		if role == guard.Nobody && w.Header().Get("Location") != "../login" {
			t.Errorf("nobody is sent to %q", w.Header().Get("Location"))
		}
		page := r.get("/functions/f")
		if shown := strings.Contains(page.Body.String(), handle); shown != (role >= guard.Reader) {
			t.Errorf("%v: the function's page shows its jobs: %v", role, shown)
		}
		for _, path := range []string{"/jobs", "/workers"} {
			if w := r.get(path); w.Code != want || strings.Contains(page.Body.String(), `href="..`+path+`"`) != (role >= guard.Reader) {
				t.Errorf("%v: %s has status %d", role, path, w.Code)
			}
		}
	}
}

// TestArguments: a page shows the beginning of a long argument, cut between characters, and bytes that are
// not text.
func TestArguments(t *testing.T) {
	r := newRig(t, guard.Reader)
	for argument, want := range map[string]string{
		strings.Repeat("大", 5000): "The first", "short": "short", "\xff\xfe\x00": "ff fe 00", `<b>"&`: "&lt;b&gt;&#34;&amp;",
	} {
		body := r.get("/jobs/" + r.submit("f", "", argument)).Body.String()
		if !strings.Contains(body, want) || strings.Contains(body, "\uFFFD") || len(body) > 40<<10 {
			t.Errorf("%.10q: no %q in %d bytes", argument, want, len(body))
		}
	}
}

// TestArgumentAs: an argument is shown as text, JSON or hexadecimal. No byte or number is changed.
func TestArgumentAs(t *testing.T) {
	r := newRig(t, guard.Reader)
	shown := func(argument, as string) string {
		t.Helper()
		w := r.get("/jobs/" + r.submit("f", "", argument) + "?as=" + as)
		if w.Code != http.StatusOK {
			t.Fatalf("%s: status %d", as, w.Code)
		}
		return html.UnescapeString(w.Body.String())
	}
	const object = `{"id":12345678901234567890,"price":1.10,"e":1e400,"s":"\u00e9 <b>","id":1}`
	for _, c := range []struct{ argument, as, want string }{
		{object, "json", "{\n  \"id\": 12345678901234567890,\n  \"price\": 1.10,\n  \"e\": 1e400,\n  \"s\": \"\\u00e9 <b>\",\n  \"id\": 1\n}"},
		{object, "", object}, {object, "text", object}, {object, "hex", "7b 22 69 64"},
		{"{broken", "json", "It is not JSON"}, {"{broken", "json", "{broken"},
		{"\xff\x00a", "text", `\xff\u0000a`}, {"\xff\x00a", "", "ff 00 61"}, {"\xff\x00a", "json", "ff 00 61"},
		{"[" + strings.Repeat("1,", 10_000) + "1]", "json", "  1,\n  1\n]"},
		{"[" + strings.Repeat("1,", 40_000) + "1]", "json", "It is larger than what is shown as JSON, 64.0 KiB."},
		{"\u202egnp", "json", `\u202egnp`}, {"x", "none", "x"}, {"", "json", "It is not JSON"},
	} {
		if page := shown(c.argument, c.as); !strings.Contains(page, c.want) {
			t.Errorf("%.20q as %q: no %q in\n%s", c.argument, c.as, c.want, page)
		}
	}
}

// TestJobPage: a job's page shows its place in the queue, its timeline and its commands.
func TestJobPage(t *testing.T) {
	r := newRig(t, guard.Reader)
	first, second := r.submit("f", "id 1", "x"), r.submit("f", "", "x")
	for handle, wants := range map[string][]string{
		first:  {"place 1 of 2, normal priority", "submitted", "not kept for background jobs", "id 1", "<dt>attempt</dt><dd>1</dd>"},
		second: {"place 2 of 2, normal priority", "curl -sS --fail-with-body 'http://localhost/api/v1/jobs/" + second + "'", "-o argument.bin", "/argument?raw'"},
	} {
		page := html.UnescapeString(r.get("/jobs/" + handle).Body.String())
		for _, want := range wants {
			if !strings.Contains(page, want) {
				t.Errorf("%s: no %q in\n%s", handle, want, page)
			}
		}
	}
	last := ""
	for range 700 {
		last = r.submit("f", "", "x")
	}
	if page := r.get("/jobs/" + last).Body.String(); !strings.Contains(page, "behind many others of 702, which are not counted, normal priority") {
		t.Errorf("no place in\n%s", page)
	}
}

// TestTimeline: what happened to a job is told in order, and what is not known of it is not made up.
func TestTimeline(t *testing.T) {
	at := func(seconds int) *time.Time { m := time.Unix(int64(seconds), 0); return &m }
	worker := &api.PeerRef{Address: "10.0.0.1:9", ClientID: "w"}
	for _, c := range []struct {
		job  api.Job
		want string
	}{
		{api.Job{Submitted: at(1), Queued: at(1)}, "1 submitted"},
		{api.Job{Submitted: at(1), Queued: at(1), Clients: []api.PeerRef{{Address: "10.0.0.2:7"}}}, "1 submitted by 10.0.0.2:7"},
		{api.Job{Submitted: at(1), Queued: at(9), Retries: 1}, "1 submitted, 9 put back: its worker lost it"},
		{api.Job{Submitted: at(1), HandedOut: at(9), Worker: worker, Retries: 2, Deadline: at(20)},
			"1 submitted, ? put back: 2 workers lost it, one after the other, 9 handed to 10.0.0.1:9 “w”, 20 its time is up"},
		{api.Job{Submitted: at(1), Due: at(50)}, "1 submitted, 50 due"},
		{api.Job{Submitted: at(1), Queued: at(50)}, "1 submitted, 50 queued: it was due, or an operator put it back"},
		{api.Job{Queued: at(5)}, "5 queued: it was due, or an operator put it back"},
	} {
		var got []string
		for _, s := range timeline(&c.job) {
			when := "?"
			if s.At != nil {
				when = fmt.Sprint(s.At.Unix())
			}
			got = append(got, when+" "+s.What)
		}
		if text := strings.Join(got, ", "); text != c.want {
			t.Errorf("got %q, want %q", text, c.want)
		}
	}
}

// TestFunctionTabs: next, running and delayed jobs of a function, each in pages that lead from one to the
// next.
func TestFunctionTabs(t *testing.T) {
	r := newRig(t, guard.Reader)
	name := "a*/b"
	var worker sched.Peer
	r.sched.Connect(&worker)
	r.send(&worker, codec.CanDo, name)
	r.submit("aaa/b", "", "of another function, which the name would match as a pattern")
	r.submit(name, "running", "x")
	r.send(&worker, codec.GrabJob)
	for i := range 250 {
		r.submit(name, fmt.Sprint("waiting", i), "x")
	}
	for i := range 3 {
		r.send(&r.client, codec.SubmitJobEpoch, name, fmt.Sprint("delayed", i), fmt.Sprint(time.Now().Add(time.Hour).Unix()), "x")
	}
	rows := regexp.MustCompile(`<td class="name mono"><a href="\.\./jobs/([^"]*)"`)
	next := regexp.MustCompile(`<a class="next" href="([^"]*)">next page`)
	for tab, want := range map[string]int{"": 250, "next": 250, "running": 1, "delayed": 3} {
		seen := map[string]bool{}
		path := "/functions/-?name=" + url.QueryEscape(name) + "&tab=" + tab
		for pages := 0; path != "" && pages < 10; pages++ {
			w := r.get(path)
			if w.Code != http.StatusOK {
				t.Fatalf("%s: status %d", path, w.Code)
			}
			body := w.Body.String()
			for _, m := range rows.FindAllStringSubmatch(body, -1) {
				seen[m[1]] = true
			}
			path = ""
			if m := next.FindStringSubmatch(body); m != nil {
				path = "/functions/" + strings.TrimPrefix(html.UnescapeString(m[1]), "./")
				path, _, _ = strings.Cut(path, "#")
			}
		}
		if len(seen) != want {
			t.Errorf("tab %q shows %d jobs, want %d", tab, len(seen), want)
		}
	}
	page := r.get("/functions/-?name=" + url.QueryEscape(name)).Body.String()
	for _, want := range []string{"next waiting 250", "running 1", "workers 1", "delayed 3", `<td class="n">100</td>`} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
}

// TestFunctionColumns: the server sorts the list by every column, in both directions. Unknown numbers are not
// shown as 0.
func TestFunctionColumns(t *testing.T) {
	r := newRig(t, guard.Operator)
	r.submit("waits", "", "x")
	w := r.get("/functions?match=w*")
	page := w.Body.String()
	links := regexp.MustCompile(`<th scope="col"[^>]*><a href="([^"]*)">([^<]*)`).FindAllStringSubmatch(page, -1)
	if len(links) != 12 {
		t.Errorf("%d columns sort the list: %v", len(links), links)
	}
	for _, l := range links {
		sorted := r.get("/" + html.UnescapeString(l[1]))
		if sorted.Code != http.StatusOK || !strings.Contains(sorted.Body.String(), "aria-sort") || !strings.Contains(l[1], "match=w") {
			t.Errorf("%s leads to status %d by %s", l[2], sorted.Code, l[1])
		}
	}
	cells := regexp.MustCompile(`(?s)<tbody><tr>(.*?)</tr>`).FindStringSubmatch(page)
	text := regexp.MustCompile(`<[^>]*>`).ReplaceAllString(cells[1], " ")
	if got := strings.Join(strings.Fields(text), " "); !regexp.MustCompile(`^waits 1 0/1/0 \S+ – 0 0 0 – – – – no workers$`).MatchString(got) {
		t.Errorf("the row is %q", got)
	}
}

// TestBadQueries: a mistake gets a page that names it.
func TestBadQueries(t *testing.T) {
	r := newRig(t, guard.Reader)
	r.submit("f", "", "x")
	for path, status := range map[string]int{
		"/functions?sort=size": 400, "/functions?only=x": 400, "/functions?cursor=x": 400, "/jobs?state=x": 400,
		"/functions/f?tab=x": 400, "/functions/f?cursor=x": 400, "/jobs?priority=x": 400, "/jobs?cursor=%20": 400, "/workers?only=x": 400, "/functions/none": 404, "/jobs/H:test:999": 404, "/jobs/x": 404,
	} {
		if w := r.get(path); w.Code != status || !strings.Contains(w.Body.String(), "Back to the overview") {
			t.Errorf("%s: status %d, want %d", path, w.Code, status)
		}
	}
}

// TestManyFunctions: with 100,000 functions every page takes little CPU time. The bound suits slow machines
// and the race detector and is far above what BenchmarkPages measures, but below the cost of examining all
// functions for each function.
func TestManyFunctions(t *testing.T) {
	r := newRig(t, guard.Reader)
	const many = 100_000
	for i := range many {
		r.submit(fmt.Sprintf("tenant%06d.resize", i), "", "")
	}
	for _, path := range []string{"/", "/functions", "/functions?sort=rate", "/functions?sort=oldest", "/functions?match=tenant0000*", "/jobs", "/jobs?function=tenant099999*", "/system"} {
		begun := cpu(t)
		w := r.get(path)
		if w.Code != http.StatusOK || w.Body.Len() > 200<<10 {
			t.Errorf("%s: status %d, %d bytes", path, w.Code, w.Body.Len())
		}
		if took := cpu(t) - begun; took > await.Scaled(5*time.Second) {
			t.Errorf("%s: %v of CPU time", path, took)
		}
	}
}

// TestAssets: the files that pages refer to exist, are compressed and cacheable, and small in sum.
func TestAssets(t *testing.T) {
	r := newRig(t, guard.Nobody)
	for _, m := range regexp.MustCompile(`(?:href|src)="(static/[^"]+)"`).FindAllStringSubmatch(r.get("/login").Body.String(), -1) {
		w := r.get("/" + m[1])
		if w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") || w.Body.Len() == 0 {
			t.Errorf("%s: %d, %v", m[1], w.Code, w.Header())
		}
	}
	for _, path := range []string{"/static/app.css", "/static/x-app.css", "/static/SHA256SUMS"} {
		if w := r.get(path); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if out, err := exec.Command("../../scripts/vendor-js.sh", "--check").CombinedOutput(); err != nil {
		t.Errorf("vendored files: %v\n%s", err, out)
	}
}

func TestWords(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 3 << 30: "3.0 GiB", 5 << 40: "5120.0 GiB"} {
		if got := size(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
	for n, want := range map[float64]string{0: "0", .125: "0.12", 9.99: "9.99", 12.34: "12.3", 33: "33", 12_345.6: "12,346"} {
		if got := plain(n); got != want {
			t.Errorf("%v is %s, want %s", n, got, want)
		}
	}
	if s := spark([]int{0, 5, 10}); s == nil || s.Line != "M0.0 19.0L30.0 10.5L60.0 2.0" {
		t.Errorf("%+v", s)
	}
	for name, want := range map[string]string{" ": "“ ”", "a ": "“a ”", "": "", "a b": "a b", "\t": `\x09`, "\u00a0": `\xc2\xa0`} {
		if got := visible(name); got != want {
			t.Errorf("%q is shown as %s, want %s", name, got, want)
		}
	}
	if s := spark([]int{0, 0}); s == nil || s.Line != "M0.0 19.0L60.0 19.0" || spark(nil) != nil || spark([]int{1}) != nil {
		t.Errorf("%+v is not a flat line", s)
	}
}
