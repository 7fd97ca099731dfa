package rest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"gearloop/internal/view"
	"gearloop/web/guard"
)

// Bounds of streams.
const (
	maxStreams = 64
	eventEvery = time.Second
	heartbeat  = 15 * time.Second // after so long without an event a stream says that it lives
	writeTime  = 10 * time.Second // that a peer may take to read an event
)

// events makes one snapshot a second for all streams, and only while there are any.
type events struct {
	source *view.Source

	mu      sync.Mutex
	streams map[chan []byte]struct{}
	stop    chan struct{} // of the goroutine that makes snapshots; nil: there is none
	number  uint64
}

func newEvents(s *view.Source) *events {
	return &events{source: s, streams: map[chan []byte]struct{}{}}
}

// join adds a stream, false when there are too many.
func (e *events) join() (stream chan []byte, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.streams) >= maxStreams {
		return nil, false
	}
	stream = make(chan []byte, 1)
	e.streams[stream] = struct{}{}
	if e.stop == nil {
		e.stop = make(chan struct{})
		go e.run(e.stop)
	}
	return stream, true
}

// leave removes a stream; with the last one the snapshots end.
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
		b, err := json.Marshal(e.source.Server())
		if err == nil {
			e.send(b)
		}
		select {
		case <-tick.C:
		case <-stop:
			return
		}
	}
}

// send gives a snapshot to each stream. One that has not taken the last one gets the newer in its place.
func (e *events) send(data []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.number++
	event := fmt.Appendf(nil, "id: %d\nevent: totals\ndata: %s\n\n", e.number, data)
	for stream := range e.streams {
		select {
		case <-stream:
		default:
		}
		stream <- event
	}
}

// stream serves GET events: Server-Sent Events, one of type totals each second with the value of GET server.
func (a *API) stream(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	err := known(q, "topic")
	if topic := q.Get("topic"); err == nil && topic != "" && topic != "totals" {
		err = guard.NewProblem(http.StatusBadRequest, fmt.Sprintf("topic is %q: it must be totals", topic))
	}
	if err != nil {
		writeProblem(w, problemOf(err))
		return
	}
	stream, ok := a.events.join()
	if !ok {
		w.Header().Set("Retry-After", "5")
		writeProblem(w, guard.NewProblem(http.StatusServiceUnavailable, fmt.Sprintf("there are %d streams already: ask again and again instead", maxStreams)))
		return
	}
	defer a.events.leave(stream)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // a proxy is not to gather events
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
		control.SetWriteDeadline(time.Now().Add(writeTime))
		if _, err := w.Write(event); err != nil {
			return
		}
		if err := control.Flush(); err != nil {
			return
		}
	}
}
