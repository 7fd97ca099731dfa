package reactor

import (
	"sync/atomic"
	"time"
)

// stall is a connection's place among those that hold memory until their peer reads or sends, ordered by when each of
// them last made progress: so much that it would be done within stallShares times stallTime.
type stall struct {
	conn       *conn
	list       *stalls // nil: it has no place
	prev, next *stall
	since      time.Duration // when it last made progress, as Server.uptime has it
	owes       int           // bytes until it has made progress again
}

// stalls lists them for one loop.
type stalls struct {
	first, last *stall
	oldest      atomic.Int64 // first.since, 0 when there is none; read by others
}

// put gives e a place at the end, or in another list the place that it had in its own.
func (l *stalls) put(e *stall, now time.Duration, holds int) {
	if e.list == l {
		return
	}
	since := now
	if e.list != nil {
		since = e.since
		e.remove()
	}
	e.since, e.owes = since, toProgress(holds)
	// Nearly always the last.
	after := l.last
	for after != nil && after.since > since {
		after = after.prev
	}
	l.insert(e, after)
}

// insert puts e behind another, nil for the beginning.
func (l *stalls) insert(e, after *stall) {
	e.list, e.prev = l, after
	if after == nil {
		e.next, l.first = l.first, e
	} else {
		e.next, after.next = after.next, e
	}
	if e.next == nil {
		l.last = e
	} else {
		e.next.prev = e
	}
	l.publish()
}

func (l *stalls) publish() {
	if l.first == nil {
		l.oldest.Store(0)
	} else {
		l.oldest.Store(int64(l.first.since))
	}
}

// remove takes e out of its list, if it is in one.
func (e *stall) remove() {
	l := e.list
	if l == nil {
		return
	}
	if e.prev == nil {
		l.first = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		l.last = e.prev
	} else {
		e.next.prev = e.prev
	}
	e.list, e.prev, e.next = nil, nil, nil
	l.publish()
}

// progress counts bytes that went on, of a connection that holds so many.
func (e *stall) progress(n int, now time.Duration, holds int) {
	if e.list == nil || n <= 0 {
		return
	}
	if e.owes -= n; e.owes <= 0 {
		e.renew(now, holds)
	}
}

// renew puts e behind all others.
func (e *stall) renew(now time.Duration, holds int) {
	l := e.list
	e.remove()
	e.since, e.owes = now, toProgress(holds)
	l.insert(e, l.last)
}

// toProgress is how many bytes of so many are progress.
func toProgress(holds int) int { return max(holds/stallShares, assuredSize) }

// stalledFor reports whether the connection that made progress longest ago did so before a moment.
func (l *stalls) before(moment time.Duration) bool {
	since := l.oldest.Load()
	return since > 0 && since < int64(moment)
}
