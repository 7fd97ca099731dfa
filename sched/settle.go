package sched

import (
	"sync"
	"sync/atomic"
	"time"
)

// answers are what the store has answered since the last group of answers.
type answers struct {
	receipts []receipt
	statuses []foreignStatus
	texts    []foreignText
}

func (a *answers) empty() bool { return len(a.receipts)+len(a.statuses)+len(a.texts) == 0 }

// add moves all answers of other behind those of a.
func (a *answers) add(other *answers) {
	if a.empty() {
		*a, *other = *other, *a
		return
	}
	a.receipts = append(a.receipts, other.receipts...)
	a.statuses = append(a.statuses, other.statuses...)
	a.texts = append(a.texts, other.texts...)
	other.reset()
}

// reset empties a for reuse. It drops slices that have become unusually large.
func (a *answers) reset() {
	const retained = 16 << 10
	clear(a.receipts)
	clear(a.statuses)
	clear(a.texts)
	if *a = (answers{a.receipts[:0], a.statuses[:0], a.texts[:0]}); cap(a.receipts) > retained {
		*a = answers{}
	}
}

// receiver collects the store's answers until they are handled, in their order: by Settle on the store's
// goroutine, or, once Gather has published them, by SettleSome on any goroutine.
type receiver struct {
	answers // since the last Gather; for the store's goroutine alone

	waiting atomic.Bool // answers were published and are not all handled
	mu      sync.Mutex
	public  answers // guarded by mu

	settling sync.Mutex // held by the goroutine that handles answers; it guards the rest
	taken    answers
	next     int // receipts of taken before it are handled
}

// Gather publishes the answers that the store has given so far, for SettleSome. It returns a submitter who waits
// for one of them, if one is found without waiting for a lock, and how many receipts are among them. The goroutine
// that called Stored must call it.
func (s *Sched) Gather() (submitter *Peer, receipts int) {
	r := &s.received
	if r.empty() {
		return nil, 0
	}
	if len(r.receipts) > 0 {
		j := r.receipts[0].job
		if sh := j.fn.shard; sh.mu.TryLock() {
			if j.state == storing {
				submitter = j.worker
			}
			sh.mu.Unlock()
		}
	}
	receipts = len(r.receipts)
	r.mu.Lock()
	r.public.add(&r.answers)
	r.waiting.Store(true)
	r.mu.Unlock()
	return submitter, receipts
}

// Settle handles all answers for which Stored was called. The goroutine that called Stored must call it.
func (s *Sched) Settle(now time.Time, fx *Effects) {
	s.Gather()
	r := &s.received
	r.settling.Lock()
	defer r.settling.Unlock()
	for r.waiting.Load() {
		s.settleTaken(-1, now, fx)
	}
}

// SettleSome handles the answers that were published by Gather, up to most of them, and reports whether more are
// left. Any goroutine may call it. It does nothing while another goroutine handles answers: that one handles
// these too, or is told that more are left.
func (s *Sched) SettleSome(most int, now time.Time, fx *Effects) (more bool) {
	r := &s.received
	// The other one looks at waiting after it has unlocked.
	for most > 0 && r.waiting.Load() && r.settling.TryLock() {
		most -= s.settleLocked(most, now, fx)
	}
	return most <= 0 && r.waiting.Load()
}

func (s *Sched) settleLocked(most int, now time.Time, fx *Effects) (n int) {
	defer s.received.settling.Unlock() // also when it panics
	return s.settleTaken(most, now, fx)
}

// settleTaken handles published answers, up to most receipts of them unless that is negative, and returns the
// number of receipts.
func (s *Sched) settleTaken(most int, now time.Time, fx *Effects) (n int) {
	r := &s.received
	if r.taken.empty() {
		r.mu.Lock()
		r.taken.add(&r.public)
		r.mu.Unlock()
	}
	for ; r.next < len(r.taken.receipts) && n != most; n++ {
		t := r.taken.receipts[r.next]
		r.next++
		s.settle(t.job, t.err, now, fx)
		s.step()
	}
	if r.next < len(r.taken.receipts) {
		return n
	}
	s.answerStatuses(&r.taken, fx)
	r.taken.reset()
	r.next = 0
	r.mu.Lock()
	r.waiting.Store(!r.public.empty())
	r.mu.Unlock()
	return n
}
