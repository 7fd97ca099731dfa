package web

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"gearloop/api"
	"gearloop/internal/histogram"
)

// Traffic counts requests to the operator's listener.
type Traffic struct {
	mu    sync.Mutex
	count map[Request]uint64
	times map[string]*histogram.Histogram
}

// Request is a kind of request: the class of its path (see classOf) and the status of its answer.
type Request struct {
	Class  string
	Status int
}

// classOf returns the class of a path: api, events, metrics, probe, static or page.
func classOf(path string) string {
	switch {
	case path == api.Prefix+"events":
		return "events"
	case strings.HasPrefix(path, api.Prefix):
		return "api"
	case path == "/metrics" || strings.HasPrefix(path, "/metrics/"):
		return "metrics"
	case path == "/healthz" || path == "/readyz":
		return "probe"
	case strings.HasPrefix(path, "/static/"):
		return "static"
	}
	return "page"
}

// note counts an answered request. The duration of event streams is not recorded.
func (t *Traffic) note(class string, status int, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count == nil {
		t.count, t.times = map[Request]uint64{}, map[string]*histogram.Histogram{}
	}
	t.count[Request{class, status}]++
	if class == "events" {
		return
	}
	h := t.times[class]
	if h == nil {
		h = &histogram.Histogram{}
		t.times[class] = h
	}
	h.Add(histogram.Turns.In(int64(took)), int64(took))
}

// Counts returns the number of answered requests of each kind, and the times of each class with the bounds
// histogram.Turns.
func (t *Traffic) Counts() (count map[Request]uint64, times map[string]histogram.Histogram) {
	t.mu.Lock()
	defer t.mu.Unlock()
	count, times = make(map[Request]uint64, len(t.count)), make(map[string]histogram.Histogram, len(t.times))
	for r, n := range t.count {
		count[r] = n
	}
	for class, h := range t.times {
		times[class] = *h
	}
	return count, times
}

// counted counts the requests that next answers: each when its answer is complete, a stream when it ends. A
// request whose handler panics before it answers has the status 500.
func (t *Traffic) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &answered{ResponseWriter: w}
		class, began := classOf(r.URL.Path), time.Now()
		finished := false
		defer func() {
			if a.status == 0 && finished {
				a.status = http.StatusOK
			} else if a.status == 0 {
				a.status = http.StatusInternalServerError
			}
			t.note(class, a.status, time.Since(began))
		}()
		next.ServeHTTP(a, r)
		finished = true
	})
}

// answered records the status of an answer.
type answered struct {
	http.ResponseWriter
	status int
}

func (a *answered) WriteHeader(status int) {
	if a.status == 0 && status >= 200 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answered) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }
