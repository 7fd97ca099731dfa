package sched

import (
	"bytes"
	"container/heap"
	"strconv"
	"time"
)

// delayHeap holds a shard's delayed jobs, earliest first; jobs due at the same moment keep the order of
// submission.
type delayHeap = jobHeap[byDue]

type byDue struct{}

func (byDue) less(a, b *job) bool {
	if !a.extra.due.Equal(b.extra.due) {
		return a.extra.due.Before(b.extra.due)
	}
	return a.number < b.number
}

func (byDue) index(j *job) *int { return &j.extra.heapIndex }

// jobHeap is a container/heap of jobs in an order.
type jobHeap[O jobOrder] []*job

// jobOrder says which of two jobs comes first, and where a job keeps its index in the heap.
type jobOrder interface {
	less(a, b *job) bool
	index(j *job) *int
}

func (h jobHeap[O]) Len() int { return len(h) }

func (h jobHeap[O]) Less(i, k int) bool {
	var o O
	return o.less(h[i], h[k])
}

func (h jobHeap[O]) Swap(i, k int) {
	var o O
	h[i], h[k] = h[k], h[i]
	*o.index(h[i]), *o.index(h[k]) = i, k
}

func (h *jobHeap[O]) Push(x any) {
	var o O
	j := x.(*job)
	*o.index(j) = len(*h)
	*h = append(*h, j)
}

func (h *jobHeap[O]) Pop() any {
	old := *h
	j := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return j
}

// delay inserts a job. Only move calls delay and undelay.
func (sh *shard) delay(j *job) {
	j.fn.later[j.priority]++
	heap.Push(&sh.delayed, j)
}

// undelay removes a job, due or not.
func (sh *shard) undelay(j *job) {
	j.fn.later[j.priority]--
	heap.Remove(&sh.delayed, j.extra.heapIndex)
}

// armDelay sets the shard's timer to the next delayed job. The shard is locked.
func (sh *shard) armDelay(fx *Effects) {
	if len(sh.delayed) > 0 {
		fx.arm(&sh.delayTimer, sh.delayed[0].extra.due)
	}
}

// release queues the jobs of a shard that have become due.
func (s *Sched) release(sh *shard, now time.Time, fx *Effects) {
	sh.lock()
	defer sh.mu.Unlock()
	for range releaseTurn {
		if len(sh.delayed) == 0 || sh.delayed[0].extra.due.After(now) {
			break
		}
		sh.ready(sh.delayed[0], now, fx)
	}
	sh.armDelay(fx)
}

// parseEpoch parses the time of SUBMIT_JOB_EPOCH, in seconds since 1970. It returns the zero time for a
// moment that has passed: the job is due at once.
func parseEpoch(text []byte, now time.Time) (due time.Time, ok bool) {
	seconds, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return due, false
	}
	due = time.Unix(min(max(seconds, 0), latestDue), 0)
	if !due.After(now) {
		return time.Time{}, true
	}
	return due, true
}

// leadingNumber returns the decimal number that text begins with, as C's atoi accepts it: blanks, sign,
// digits; "0" if there is none.
func leadingNumber(text []byte) []byte {
	text = bytes.TrimLeft(text, " \t\r\n\f\v")
	n := 0
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		n = 1
	}
	digits := n
	for n < len(text) && '0' <= text[n] && text[n] <= '9' {
		n++
	}
	if n == digits {
		return []byte("0")
	}
	return text[:n]
}

// atoi returns the number that text begins with, limited to the range of int64.
func atoi(text []byte) int64 {
	n, _ := strconv.ParseInt(string(leadingNumber(text)), 10, 64)
	return n
}
