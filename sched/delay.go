package sched

import (
	"bytes"
	"container/heap"
	"strconv"
	"time"
)

// delayHeap holds a shard's delayed jobs, earliest first; jobs due at the same moment keep the order of
// submission.
type delayHeap []*job

func (h delayHeap) Len() int { return len(h) }

func (h delayHeap) Less(i, k int) bool {
	if !h[i].extra.due.Equal(h[k].extra.due) {
		return h[i].extra.due.Before(h[k].extra.due)
	}
	return h[i].number < h[k].number
}

func (h delayHeap) Swap(i, k int) {
	h[i], h[k] = h[k], h[i]
	h[i].extra.heapIndex, h[k].extra.heapIndex = i, k
}

func (h *delayHeap) Push(x any) {
	j := x.(*job)
	j.extra.heapIndex = len(*h)
	*h = append(*h, j)
}

func (h *delayHeap) Pop() any {
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
