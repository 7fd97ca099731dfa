package rest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"gearloop/api"
	"gearloop/internal/view"
	"gearloop/web/action"
	"gearloop/web/guard"
)

// Limits of streams.
const (
	maxStreams = 64
	eventEvery = time.Second
	heartbeat  = 15 * time.Second // a stream without events sends a sign of life this often
)

// topics is a set of topics, one bit each.
type topics uint8

const (
	totals     topics = 1 << iota // every second, the value of GET server
	operations                    // every second, the operations that run or have ended recently, if any
)

// topicNames are the topics by name, with the role each requires.
var topicNames = map[string]struct {
	topic topics
	role  guard.Role
}{"": {totals, guard.Viewer}, "totals": {totals, guard.Viewer}, "operations": {operations, guard.Reader}}

// audience is what a stream is told, and for whom.
type audience struct {
	of       topics
	role     guard.Role
	readOnly bool
}

// events makes one snapshot per second for all streams, and only while there are any.
type events struct {
	source  *view.Source
	actions *action.Actions

	mu      sync.Mutex
	streams map[chan []byte]audience
	stop    chan struct{} // stops the goroutine that makes snapshots; nil: not running
	number  uint64
}

func newEvents(s *view.Source, a *action.Actions) *events {
	return &events{source: s, actions: a, streams: map[chan []byte]audience{}}
}

// Streams returns how many streams of events there are.
func (a *API) Streams() int {
	a.events.mu.Lock()
	defer a.events.mu.Unlock()
	return len(a.events.streams)
}

// join adds a stream; false if there are too many.
func (e *events) join(of audience) (stream chan []byte, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.streams) >= maxStreams {
		return nil, false
	}
	stream = make(chan []byte, 1)
	e.streams[stream] = of
	if e.stop == nil {
		e.stop = make(chan struct{})
		go e.run(e.stop)
	}
	return stream, true
}

// leave removes a stream; the last one stops the snapshots.
func (e *events) leave(stream chan []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.streams, stream)
	if len(e.streams) == 0 && e.stop != nil {
		close(e.stop)
		e.stop = nil
	}
}

func (e *events) run(stop chan struct{}) {
	tick := time.NewTicker(eventEvery)
	defer tick.Stop()
	for {
		e.send()
		select {
		case <-tick.C:
		case <-stop:
			return
		}
	}
}

// send sends a snapshot to each stream. If a stream has not read the last one, the new one replaces it.
func (e *events) send() {
	e.mu.Lock()
	e.number++
	number, wanted := e.number, topics(0)
	audiences := map[audience][]byte{}
	for _, of := range e.streams {
		wanted |= of.of
		audiences[of] = nil
	}
	e.mu.Unlock()
	event := func(name string, value any) []byte {
		b, err := json.Marshal(value)
		if err != nil {
			return nil
		}
		return fmt.Appendf(nil, "id: %d\nevent: %s\ndata: %s\n\n", number, name, b)
	}
	var server api.Server
	if wanted&totals != 0 {
		server = e.source.Server()
	}
	var running []byte
	if wanted&operations != 0 {
		if all := e.actions.OperationsNow(); len(all) > 0 {
			running = event("operations", all)
		}
	}
	for to := range audiences {
		var told []byte
		if to.of&totals != 0 {
			shown := server
			if to.role < guard.Reader {
				shown = view.ServerForViewer(server)
			}
			shown.Role, shown.ReadOnly = to.role.String(), to.readOnly
			told = event("totals", shown)
		}
		if to.of&operations != 0 {
			told = append(told, running...)
		}
		audiences[to] = told
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for stream, of := range e.streams {
		event := audiences[of] // empty for one that has come meanwhile
		if len(event) == 0 {
			continue
		}
		select {
		case <-stream:
		default:
		}
		stream <- event
	}
}

// wantedTopics returns the topics that a request names.
func wantedTopics(r *http.Request) (of topics, err error) {
	q := r.URL.Query()
	if err := known(q, "topic"); err != nil {
		return 0, err
	}
	names := q["topic"]
	if len(names) == 0 {
		names = []string{"totals"}
	}
	for _, name := range names {
		t, ok := topicNames[name]
		if !ok {
			return 0, guard.NewProblem(http.StatusBadRequest, fmt.Sprintf("topic is %q: it must be totals or operations", name))
		}
		if guard.From(r.Context()).Role < t.role {
			return 0, guard.NewProblem(http.StatusForbidden, fmt.Sprintf("the topic %s needs the role %s", name, t.role))
		}
		of |= t.topic
	}
	return of, nil
}

// stream serves GET events as Server-Sent Events, by topic.
func (a *API) stream(w http.ResponseWriter, r *http.Request) {
	of, err := wantedTopics(r)
	if err != nil {
		writeProblem(w, problemOf(err))
		return
	}
	stream, ok := a.events.join(audience{of, guard.From(r.Context()).Role, a.cfg.Guard.ReadOnly()})
	if !ok {
		w.Header().Set("Retry-After", "5")
		writeProblem(w, guard.NewProblem(http.StatusServiceUnavailable, fmt.Sprintf("there are %d streams already: ask again and again instead", maxStreams)))
		return
	}
	defer a.events.leave(stream)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // proxies must not buffer events
	control := http.NewResponseController(w)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		event := []byte(": alive\n\n")
		select {
		case event = <-stream:
		case <-beat.C:
		case <-r.Context().Done():
			return
		}
		if _, err := w.Write(event); err != nil {
			return
		}
		if err := control.Flush(); err != nil {
			return
		}
	}
}
