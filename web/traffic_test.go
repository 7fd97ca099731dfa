package web

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestTraffic: requests are counted by route and by the status of their answer, however it was produced.
// Times are those of all requests except streams.
func TestTraffic(t *testing.T) {
	var traffic Traffic
	h := traffic.counted(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("do") {
		case "header":
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusNotFound)
			w.WriteHeader(http.StatusOK) // too late
		case "write":
			w.Write([]byte("x"))
		case "flush":
			control := http.NewResponseController(w)
			if err := control.Flush(); err != nil {
				t.Error(err)
			}
			control.SetWriteDeadline(time.Now())
		case "panic":
			panic(http.ErrAbortHandler)
		}
	}))
	for _, path := range []string{
		"/api/v1/jobs?do=header", "/api/v1/jobs?do=write", "/api/v1/jobs", "/api/v1/events?do=flush", "/metrics?do=write", "/metrics/functions?do=panic",
		"/healthz", "/readyz?do=header", "/static/x.js", "/", "/functions/api/v1/", "/metricsx",
	} {
		func() {
			defer func() { _ = recover() }()
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
		}()
	}
	count, times := traffic.Counts()
	want := map[Request]uint64{
		{"api", 404}: 1, {"api", 200}: 2, {"events", 200}: 1, {"metrics", 200}: 1, {"metrics", 500}: 1, {"probe", 200}: 1, {"probe", 404}: 1,
		{"static", 200}: 1, {"page", 200}: 3,
	}
	if !maps.Equal(count, want) {
		t.Errorf("%v, want %v", count, want)
	}
	timed := ""
	for _, class := range []string{"api", "events", "metrics", "probe", "static", "page"} {
		h := times[class]
		timed += fmt.Sprint(class, " ", h.Count(), " ")
	}
	if timed != "api 3 events 0 metrics 2 probe 2 static 1 page 3 " {
		t.Errorf("times of %s", timed)
	}
}
