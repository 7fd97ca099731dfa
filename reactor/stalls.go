package reactor

import (
	"sync/atomic"
	"time"
)

// stall is a connection's entry in a list of those that hold memory until their peer reads or sends, ordered
// by their last progress. Progress means so many bytes that everything would be done within stallShares times
// stallTime.
type stall struct {
	conn       *conn
	list       *stalls // nil: not listed
	prev, next *stall
	since      time.Duration // time of the last progress, in Server.uptime
	owes       int           // bytes missing until the next progress
}

// stalls is such a list of one loop.
type stalls struct {
	first, last *stall
	oldest      atomic.Int64 // first.since, 0 if empty; other goroutines read it
}

// put appends e, or moves it from another list to the position that its last progress gives it.
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
	// Nearly always the last one.
	after := l.last
	for after != nil && after.since > since {
		after = after.prev
	}
	l.insert(e, after)
}

// insert inserts e behind another entry, or at the beginning if that is nil.
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

// remove removes e from its list, if it is in one.
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

// progress counts n bytes moved for a connection that holds that many.
func (e *stall) progress(n int, now time.Duration, holds int) {
	if e.list == nil || n <= 0 {
		return
	}
	if e.owes -= n; e.owes <= 0 {
		e.renew(now, holds)
	}
}

// renew moves e to the end of its list.
func (e *stall) renew(now time.Duration, holds int) {
	l := e.list
	e.remove()
	e.since, e.owes = now, toProgress(holds)
	l.insert(e, l.last)
}

// toProgress returns how many of the bytes held make a progress.
func toProgress(holds int) int { return max(holds/stallShares, assuredSize) }

// before reports whether the longest stalled connection made its last progress before a moment.
func (l *stalls) before(moment time.Duration) bool {
	since := l.oldest.Load()
	return since > 0 && since < int64(moment)
}
