package sched

import (
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/store"
)

// A submission joins one that is being stored, whose unique id a job of another broker has: that job may have ended before
// the second came, so the store is asked again for it.
func TestLateJoin(t *testing.T) {
	other := &store.UniqueTaken{Number: store.Number(7, 1, store.ShardOf("f"))}
	for _, c := range []struct {
		name   string
		answer error // the second
		want   string
	}{
		{"the other has ended", nil, "JOB_CREATED h2"},
		{"the other lives", other, "JOB_CREATED h1"},
		{"the store fails", errDisk, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, perl())
			r.attach(newFakeStore())
			first, second, third := r.connect(), r.connect(), r.connect()
			for _, p := range []*Peer{first, second, third} {
				r.do(p, codec.SubmitJobBg, "f", "u", "x")
			}
			r.receive(1, other)
			r.want(first, "JOB_CREATED h1")
			r.receive(1, c.answer)
			for _, p := range []*Peer{second, third} {
				if c.want == "" {
					r.want(p, r.full())
				} else {
					r.want(p, c.want)
				}
			}
		})
	}
	t.Run("the store is full", func(t *testing.T) {
		r := newRig(t, perl())
		r.attach(newFakeStore())
		first, second := r.connect(), r.connect()
		for _, p := range []*Peer{first, second} {
			r.do(p, codec.SubmitJobBg, "f", "u", "x")
		}
		r.store.refuse = store.ErrFailed
		r.receive(1, other)
		r.want(first, "JOB_CREATED h1")
		r.want(second, r.full())
	})
}

// Another broker is told of a job only when it is known whether that is stored.
func TestBrokersAskForStoredJobs(t *testing.T) {
	r := newRig(t, perl())
	r.attach(newFakeStore())
	bg, fg, broker := r.connect(), r.connect(), r.connect()
	broker.Broker = true
	known := func(want string) {
		t.Helper()
		r.do(broker, codec.GetStatus, r.number(0))
		if got := strings.Split(r.got[broker][0], "|")[1]; got != want {
			t.Errorf("known is %s, want %s", got, want)
		}
		r.got[broker] = nil
	}
	r.do(bg, codec.SubmitJobBg, "f", "u", "x")
	r.do(fg, codec.SubmitJob, "f", "u", "x")
	known("0")
	r.receive(1, errDisk)
	known("0") // its row may be there yet
	r.do(bg, codec.SubmitJobBg, "f", "u", "x")
	known("0")
	r.receive(1, nil)
	known("1")
}

// After the lease a stored job may be another broker's, which may have done it: nobody joins it.
func TestJoinAfterLease(t *testing.T) {
	r := newRig(t, perl())
	r.attach(newFakeStore())
	bg := r.connect()
	r.do(bg, codec.SubmitJobBg, "f", "u", "x")
	r.receive(1, nil)
	r.want(bg, "JOB_CREATED h1")
	r.lease(time.Second)
	r.do(bg, codec.SubmitJobBg, "f", "u", "x")
	r.want(bg, "JOB_CREATED h1")
	r.at(time.Second)
	r.do(bg, codec.SubmitJobBg, "f", "u", "x")
	r.want(bg, r.full())
	r.lease(time.Minute)
	r.do(bg, codec.SubmitJobBg, "f", "u", "x")
	r.want(bg, "JOB_CREATED h1")
}

// A broker was frozen while it stored a job. The store's answer comes late: another broker may have taken the job over
// and done it by then. That it was stored is told to those who came before the lease ended; nobody joins it afterwards.
func TestJoinAfterLeaseWhileStoring(t *testing.T) {
	for _, kind := range []codec.Type{codec.SubmitJobBg, codec.SubmitJob} { // that makes the job
		r := newRig(t, perl())
		r.attach(newFakeStore())
		first, early, late := r.connect(), r.connect(), r.connect()
		r.lease(time.Second)
		r.do(first, kind, "f", "u", "x")
		if kind == codec.SubmitJob {
			r.want(first, "JOB_CREATED h1")
		}
		r.do(early, codec.SubmitJobBg, "f", "u", "x")
		r.at(time.Second)
		r.do(late, codec.SubmitJobBg, "f", "u", "x")
		r.want(late, r.full())
		r.receive(1, nil)
		if kind == codec.SubmitJobBg {
			r.want(first, "JOB_CREATED h1")
		}
		r.want(early, "JOB_CREATED h1")
		r.want(late)
	}
}
