package browser

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"gearloop/test/await"
)

// The page of workers sorts on the server, by each column and both ways, and selects by what they are doing.
func TestWorkers(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	get := func(query string) string {
		t.Helper()
		resp, err := http.Get(s.web + "/workers?" + query)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d, %v", query, resp.StatusCode, err)
		}
		return string(body)
	}
	clients := regexp.MustCompile(`<td class="name">((?:pdf|img)-\d)</td>`)
	for query, want := range map[string]string{
		"":                         "pdf-1 img-0 img-1 img-2 img-3", // who has a job comes first, then who came first
		"only=busy":                "pdf-1",
		"only=asleep":              "img-0 img-1 img-2 img-3",
		"only=idle":                "",
		"only=slow":                "",
		"only=clients":             "",
		"sort=client_id":           "img-0 img-1 img-2 img-3 pdf-1",
		"sort=-client_id":          "pdf-1 img-3 img-2 img-1 img-0",
		"sort=-failed&match=img":   "img-3 img-2 img-1 img-0",
		"sort=done&only=workers":   "pdf-1 img-0 img-1 img-2 img-3",
		"match=img-2&sort=address": "img-2",
	} {
		var got []string
		await.UntilSaid(t, func() bool {
			got = nil
			for _, m := range clients.FindAllStringSubmatch(get(query), -1) {
				got = append(got, m[1])
			}
			return strings.Join(got, " ") == want
		}, func() string { return fmt.Sprintf("%q: %v, want %s", query, got, want) })
	}
	page := get("")
	heads := regexp.MustCompile(`<th scope="col"[^>]*><a href="([^"]*)">`).FindAllStringSubmatch(page, -1)
	if len(heads) != 11 {
		t.Errorf("%d heads sort, want 11", len(heads))
	}
	for _, h := range heads {
		to := strings.ReplaceAll(strings.TrimPrefix(h[1], "workers?"), "&amp;", "&")
		if sorted := get(to); strings.Count(sorted, "aria-sort=") != 1 {
			t.Errorf("%s: the page does not say how it is sorted", to)
		}
	}
	if !strings.Contains(page, `aria-sort="descending"><a href="workers?only=workers&amp;sort=-oldest">for`) {
		t.Error("the usual order is not the longest job first")
	}
	if !strings.Contains(page, s.running) {
		t.Error("the job in hand is not shown")
	}
}
