package browser

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"gearloop/api"
	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// scene is a broker with objects of every kind that the dashboard shows.
type scene struct {
	t      *testing.T
	server *peers.Server
	web    string
	api    *api.Client
	client *wire.Conn
	// handles of a job in each state
	running, waiting, delayed, paused string
}

// newBroker starts a broker with a dashboard.
func newBroker(t *testing.T, args ...string) *scene {
	t.Helper()
	s := &scene{t: t, server: peers.Start(t, peers.Gearloop, append([]string{"--web", "127.0.0.1:0"}, args...)...)}
	s.web = s.server.Web()
	var err error
	if s.api, err = api.NewClient(s.web, "", nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.api.Close)
	s.client = wire.Dial(t, s.server.Addr)
	return s
}

// newScene starts a broker and fills it.
func newScene(t *testing.T, args ...string) *scene {
	t.Helper()
	s := newBroker(t, append([]string{"--data-dir", t.TempDir()}, args...)...)
	c := s.client
	for i := range 18 {
		s.waiting = c.Submit(codec.SubmitJobBg, "mail.send", fmt.Sprintf("user:%d:welcome", 4700+i), `{"to":"anna@example.org","template":"welcome"}`)
	}
	w := wire.Dial(t, s.server.Addr)
	w.Send(codec.SetClientID, "pdf-1")
	w.Send(codec.CanDo, "invoice.pdf")
	w.Send(codec.CanDo, "invoice.csv")
	for i := range 7 {
		c.Submit(codec.SubmitJobHighBg, "invoice.pdf", fmt.Sprint("invoice:", i), strings.Repeat("line of an invoice\n", 40))
		job, _ := w.Grab()
		switch i {
		case 0, 3:
			w.Send(codec.WorkFail, job)
		default:
			w.Send(codec.WorkComplete, job, "done")
		}
	}
	s.running = wire.Dial(t, s.server.Addr).Submit(codec.SubmitJob, "invoice.pdf", "invoice:now", "an invoice")
	job, _ := w.Grab()
	w.Send(codec.WorkStatus, job, "40", "100")
	for range 5 {
		c.Submit(codec.SubmitJobLowBg, "invoice.pdf", "", "an invoice")
	}
	for i := range 4 {
		s.worker(fmt.Sprint("img-", i), "thumb.resize", "thumb.crop")
	}
	c.Send(codec.SubmitJobEpoch, "report.nightly", "report", fmt.Sprint(time.Now().Add(5*time.Hour).Unix()), "{}")
	s.delayed = string(c.WantType(codec.JobCreated).Data)
	for range 9 {
		s.paused = c.Submit(codec.SubmitJobBg, "export.csv", "", "table,from,to")
	}
	until := time.Now().Add(3 * time.Hour)
	s.post(api.Path("functions", "export.csv", "pause"), api.Pause{Reason: "the database is being moved", Until: &until})
	s.post(api.Path("functions", "legacy.sync", "close"), api.Pause{Reason: "use sync.v2"})
	w.Sync()
	return s
}

// worker connects a worker that sleeps.
func (s *scene) worker(id string, functions ...string) *wire.Conn {
	w := wire.Dial(s.t, s.server.Addr)
	w.Send(codec.SetClientID, id)
	for _, f := range functions {
		w.Send(codec.CanDo, f)
	}
	w.Send(codec.PreSleep)
	w.Sync()
	return w
}

// post performs an action through the API.
func (s *scene) post(path string, in any) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), await.Limit)
	defer cancel()
	if err := s.api.Post(ctx, path, in, nil); err != nil {
		s.t.Fatalf("%s: %v", path, err)
	}
}

// function returns a function's row from the API.
func (s *scene) function(name string) (f api.Function) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), await.Limit)
	defer cancel()
	if err := s.api.Get(ctx, api.Path("functions", name), nil, &f); err != nil {
		s.t.Fatalf("%s: %v", name, err)
	}
	return f
}

// jobs returns the handles of a function's waiting jobs.
func (s *scene) jobs(function string) (handles []string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), await.Limit)
	defer cancel()
	var list api.Page[api.Job]
	if err := s.api.Get(ctx, "jobs", url.Values{"function": {function}, "state": {api.JobWaiting}}, &list); err != nil {
		s.t.Fatalf("%s: %v", function, err)
	}
	for _, j := range list.Items {
		handles = append(handles, j.Handle)
	}
	return handles
}

// has reports whether there is a job with a handle.
func (s *scene) has(handle string) bool {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), await.Limit)
	defer cancel()
	resp, err := http.NewRequestWithContext(ctx, http.MethodGet, s.web+"/jobs/"+url.PathEscape(handle), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(resp)
	if err != nil {
		s.t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// page is a page of the dashboard by the name of its picture.
type page struct{ name, path string }

// pages returns every page of a scene.
func (s *scene) pages() []page {
	return []page{
		{"overview", "/"}, {"functions", "/functions"}, {"function", "/functions/mail.send"}, {"function-paused", "/functions/export.csv"},
		{"function-busy", "/functions/invoice.pdf"}, {"jobs", "/jobs"}, {"job-waiting", "/jobs/" + url.PathEscape(s.waiting)},
		{"job-running", "/jobs/" + url.PathEscape(s.running)}, {"job-delayed", "/jobs/" + url.PathEscape(s.delayed)}, {"workers", "/workers"},
		{"function-running", "/functions/invoice.pdf?tab=running"}, {"function-workers", "/functions/thumb.resize?tab=workers"},
		{"function-delayed", "/functions/report.nightly?tab=delayed"}, {"job-json", "/jobs/" + url.PathEscape(s.waiting) + "?as=json"},
		{"job-hex", "/jobs/" + url.PathEscape(s.paused) + "?as=hex"},
		{"clients", "/workers?only=all&sort=-since"}, {"system", "/system"}, {"login", "/login"}, {"functions-none", "/functions?match=nothing"},
		{"jobs-none", "/jobs?function=nothing"}, {"span", "/?span=10"}, {"operations", "/operations"},
	}
}

// work creates and completes jobs for a while before pictures are taken, so that charts have data.
func (s *scene) work(t *testing.T) {
	if os.Getenv(pictures) == "" {
		return
	}
	c, w := wire.Dial(t, s.server.Addr), wire.Dial(t, s.server.Addr)
	w.Send(codec.SetClientID, "geo-1")
	w.Send(codec.CanDo, "geo.lookup")
	w.Sync()
	if resp, err := http.Get(s.web + "/functions"); err == nil { // from then on it is noted what they do
		resp.Body.Close()
	}
	for start := time.Now(); time.Since(start) < 150*time.Second; time.Sleep(20 * time.Millisecond) {
		wave := 6 + 4*math.Sin(time.Since(start).Seconds()/15) + rand.Float64()*2
		for range int(wave) {
			c.Submit(codec.SubmitJobBg, "geo.lookup", "", "52.5 13.4")
			time.Sleep(time.Duration(rand.Float64() * float64(time.Millisecond)))
			job, _ := w.Grab()
			w.Send(codec.WorkComplete, job, "Berlin")
		}
	}
}

// pictures is the variable that names the directory for pictures.
const pictures = "GEARLOOP_SCREENSHOTS"

// pictures writes pictures of the page as it is, wide and narrow, when somebody wants them.
func (b *tab) pictures(name, theme string) {
	b.t.Helper()
	dir := os.Getenv(pictures)
	if dir == "" {
		return
	}
	for _, width := range []int64{1280, 400, 320} {
		b.do("width", chromedp.EmulateViewport(width, 900))
		ctx, end := b.step()
		png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
		end()
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%s-%d.png", name, theme, width)), png, 0o644)
		}
		if err != nil {
			b.t.Fatal(err)
		}
	}
	b.do("wide", chromedp.EmulateViewport(1280, 900))
}
