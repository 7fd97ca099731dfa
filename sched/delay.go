package sched

import (
	"bytes"
	"container/heap"
	"strconv"
	"time"
)

// delayHeap holds a shard's delayed jobs, the next due first; jobs due at the same moment come in
// the order they were submitted.
type delayHeap []*Job

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
	j := x.(*Job)
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

// delay puts a job aside until it is due. Only move calls it, and undelay.
func (sh *shard) delay(j *Job) {
	j.fn.later[j.priority]++
	heap.Push(&sh.delayed, j)
}

// undelay takes out a job, due or not.
func (sh *shard) undelay(j *Job) {
	j.fn.later[j.priority]--
	heap.Remove(&sh.delayed, j.extra.heapIndex)
}

// armDelay sets the shard's timer to the next delayed job. The shard is locked.
func (sh *shard) armDelay(fx *Effects) {
	if len(sh.delayed) > 0 {
		fx.arm(&sh.delayTimer, sh.delayed[0].extra.due)
	}
}

// release queues the jobs of a shard that are due.
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

// parseEpoch reads the time of SUBMIT_JOB_EPOCH, in seconds since 1970. The zero time stands for at
// once: that moment has passed.
func parseEpoch(text []byte, now time.Time) (due time.Time, ok bool) {
	seconds, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return due, false
	}
	// A year that time.Time can't count to is as good as the last one it can.
	due = time.Unix(min(max(seconds, 0), 1<<40), 0)
	if !due.After(now) {
		return time.Time{}, true
	}
	return due, true
}

// nextMoment finds the next minute after now that matches the fields of SUBMIT_JOB_SCHED: minute
// 0-59, hour 0-23, day of month 1-31, month 1-12, day of week 0-6 with 0 for Monday; a field that
// is empty or "*" matches always. All fields have to match. The time zone is now's. ok is false for
// a field that is no such number and for a day that never comes, such as 31 February.
func nextMoment(fields [5][]byte, now time.Time) (due time.Time, ok bool) {
	bounds := [5][2]int{{0, 59}, {0, 23}, {1, 31}, {1, 12}, {0, 6}}
	var want [5]int
	for i, f := range fields {
		want[i] = -1
		if len(f) == 0 || string(f) == "*" {
			continue
		}
		n, err := strconv.Atoi(string(f))
		if err != nil || n < bounds[i][0] || n > bounds[i][1] {
			return due, false
		}
		want[i] = n
	}
	minute, hour, day, month, weekday := want[0], want[1], want[2], want[3], want[4]
	if month > 0 && day > time.Date(2000, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day() {
		return due, false
	}
	is := func(wanted, value int) bool { return wanted < 0 || wanted == value }

	first := now.Truncate(time.Minute).Add(time.Minute)
	y, m, d := first.Date()
	// A given weekday on 29 February comes within 40 years at the latest.
	for n := range 41 * 366 {
		noon := time.Date(y, m, d+n, 12, 0, 0, 0, now.Location())
		if !is(day, noon.Day()) || !is(month, int(noon.Month())) || !is(weekday, (int(noon.Weekday())+6)%7) {
			continue
		}
		// Minute by minute through the time that passes: the clock may skip an hour, or show one
		// twice.
		for t := time.Date(y, m, d+n, 0, 0, 0, 0, now.Location()); t.Day() == noon.Day() || t.Before(noon); t = t.Add(time.Minute) {
			if !t.Before(first) && t.Day() == noon.Day() && is(hour, t.Hour()) && is(minute, t.Minute()) {
				return t, true
			}
		}
	}
	return due, false
}

// leadingNumber returns the decimal number that a text begins with, "0" if there is none: blanks, a
// sign, digits, as atoi of C takes it.
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

// atoi returns the number that a text begins with, the nearest there is where it is too large.
func atoi(text []byte) int64 {
	n, _ := strconv.ParseInt(string(leadingNumber(text)), 10, 64)
	return n
}
