package probe

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"gearloop/internal/view"
)

// fake is a broker in a given state.
type fake struct {
	alive      error
	conditions []view.Condition
	ready      bool
}

func (f *fake) Alive() error                    { return f.alive }
func (f *fake) Ready() ([]view.Condition, bool) { return f.conditions, f.ready }

// Each state of a broker has its answer. Only a broker that is stuck is not alive. A failing store makes it
// not ready only if that was asked for.
func TestProbes(t *testing.T) {
	listening := view.Condition{Name: "listening", OK: true, Needed: true, Text: "ready"}
	starting := view.Condition{Name: "listening", Needed: true, Text: "starting"}
	stored := view.Condition{Name: "store", OK: true, Text: "background jobs are stored"}
	failing := view.Condition{Name: "store", Text: "no space"}
	for _, c := range []struct {
		name   string
		of     fake
		path   string
		status int
		body   string
	}{
		{"well", fake{nil, []view.Condition{listening}, true}, "/healthz", 200, "ok\n"},
		{"stuck", fake{errors.New("an event loop has not answered for 11s"), nil, true}, "/healthz", 503, "an event loop has not answered for 11s\n"},
		{"alive without its store", fake{nil, []view.Condition{listening, failing}, true}, "/healthz", 200, "ok\n"},
		{"ready", fake{nil, []view.Condition{listening, stored}, true}, "/readyz", 200, "ok\n+listening: ready\n+store: background jobs are stored\n"},
		{"starting", fake{nil, []view.Condition{starting}, false}, "/readyz", 503, "not ready\n-listening: starting\n"},
		{"degraded", fake{nil, []view.Condition{listening, failing}, true}, "/readyz", 200, "degraded\n+listening: ready\n-store: no space\n"},
		{"without what is required", fake{nil, []view.Condition{listening, failing}, true}, "/readyz?require=store", 503, "not ready\n+listening: ready\n-store: no space\n"},
		{"with what is required", fake{nil, []view.Condition{listening, stored}, true}, "/readyz?require=store", 200, "ok\n+listening: ready\n+store: background jobs are stored\n"},
	} {
		mux := http.NewServeMux()
		Mount(mux, &c.of)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, c.path, nil))
		if w.Code != c.status || w.Body.String() != c.body || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %q %v", c.name, w.Code, w.Body, w.Header())
		}
	}
}
